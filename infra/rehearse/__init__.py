"""A rehearsal: real orders of a real day are played against the running stack, from outside, and then checked."""

from infra.rehearse.command import rehearse

__all__ = ["rehearse"]
