"""Windows: whether a drop is for sale, evaluated at the instant of each request. No job opens or closes a drop."""

from __future__ import annotations

from chalicelib.instants import Instant
from chalicelib.shows.model import Drop, DropState
from chalicelib.stock import Summary


def window_state(drop: Drop, now: Instant) -> DropState:
    """Return scheduled, open, suspended or closed. The window is ``[opens_at, closes_at)``."""
    if drop.closes_at is not None and now >= drop.closes_at:
        return DropState.CLOSED
    if drop.opens_at is None or now < drop.opens_at:
        return DropState.SCHEDULED
    return DropState.SUSPENDED if drop.suspended else DropState.OPEN


def drop_state(drop: Drop, summary: Summary, now: Instant) -> DropState:
    """Return the state that watchers see: sold out in an open or suspended window, else the window's state."""
    by_window = window_state(drop, now)
    if summary.sold_out and by_window in (DropState.OPEN, DropState.SUSPENDED):
        return DropState.SOLD_OUT
    return by_window


def next_transition_at(drop: Drop, now: Instant) -> Instant | None:
    """Return the next instant at which the window opens or closes; None when only a cue or a PUT can change it."""
    if drop.closes_at is not None and now >= drop.closes_at:
        return None
    bounds = [bound for bound in (drop.opens_at, drop.closes_at) if bound is not None and bound > now]
    return min(bounds, default=None)
