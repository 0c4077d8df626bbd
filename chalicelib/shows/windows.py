"""Windows: whether a drop is for sale, judged by the instant of each request. No job opens or closes anything."""

from __future__ import annotations

from chalicelib.instants import Instant
from chalicelib.shows.model import Drop, DropState
from chalicelib.stock import Summary


def window_state(drop: Drop, now: Instant) -> DropState:
    """Scheduled, open, suspended or closed; the window is ``[opens_at, closes_at)``."""
    if drop.closes_at is not None and now >= drop.closes_at:
        return DropState.CLOSED
    if drop.opens_at is None or now < drop.opens_at:
        return DropState.SCHEDULED
    return DropState.SUSPENDED if drop.suspended else DropState.OPEN


def drop_state(drop: Drop, summary: Summary, now: Instant) -> DropState:
    """What a watcher is told: sold out where there is nothing left to sell or resume, else the window."""
    by_window = window_state(drop, now)
    if summary.sold_out and by_window in (DropState.OPEN, DropState.SUSPENDED):
        return DropState.SOLD_OUT
    return by_window


def next_transition_at(drop: Drop, now: Instant) -> Instant | None:
    """The next instant at which the window opens or closes by itself; None when only a cue can move it."""
    if drop.closes_at is not None and now >= drop.closes_at:
        return None
    bounds = [bound for bound in (drop.opens_at, drop.closes_at) if bound is not None and bound > now]
    return min(bounds, default=None)
