"""Decide when the holds and the price of a line end: every formula of a drop's ``hold_seconds``."""

from __future__ import annotations

from typing import Final

from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.purchase import Line
from chalicelib.shows import Drop
from chalicelib.stock import HoldRef

MAX_HOLD_FACTOR: Final = 4
"""A line can hold units for at most this many times ``hold_seconds``, however often the buyer renews it."""


def hold_expires_at(drop: Drop, line: Line | None, now: Instant) -> UnixSeconds:
    """Return the end of a new hold: after ``hold_seconds``, or when its line's time ends, whichever is first."""
    expires_at = now // SECOND + drop.hold_seconds
    return min(expires_at, line.max_hold_until) if line else expires_at


def max_hold_until(drop: Drop, first_hold: HoldRef) -> UnixSeconds:
    """Return when a new line's time ends: ``MAX_HOLD_FACTOR`` times ``hold_seconds`` after its first hold began."""
    return first_hold.expires_at + (MAX_HOLD_FACTOR - 1) * drop.hold_seconds


def price_until(drop: Drop, first_hold: HoldRef) -> Instant:
    """Return until when a new line's price is honoured: one ``hold_seconds`` longer than its first hold."""
    return (first_hold.expires_at + drop.hold_seconds) * SECOND


def extended_price_until(line: Line, added_hold: HoldRef) -> Instant:
    """Return until when the price of a grown line is honoured: at least as long as its new hold."""
    return max(line.price_until, added_hold.expires_at * SECOND)


def renewed_price_until(drop: Drop, now: Instant) -> Instant:
    """Return until when a price is honoured that a completion has just renewed: twice ``hold_seconds`` from now."""
    return now + 2 * drop.hold_seconds * SECOND
