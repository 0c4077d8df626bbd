"""Rehearse a sale: drive real orders of a real day through the running stack from outside, then check the result."""

from infra.rehearse.command import rehearse

__all__ = ["rehearse"]
