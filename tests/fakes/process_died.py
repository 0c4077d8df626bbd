"""The death of a process, simulated by an exception."""

from __future__ import annotations


class ProcessDied(BaseException):
    """The process is gone. No ``except Exception`` of the product can handle this."""
