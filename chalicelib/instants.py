"""Instants: integers of milliseconds since 1970, UTC. Only entry points read a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

Instant = int
"""Milliseconds since 1970-01-01T00:00:00Z."""
UnixSeconds = int
"""Seconds since 1970: the precision of a hold's end. Milliseconds would cost bytes in each bucket."""
Clock = Callable[[], Instant]
"""A clock for long work, which records when it began and when it ended."""

SECOND: Instant = 1_000
MINUTE: Instant = 60 * SECOND
HOUR: Instant = 60 * MINUTE
DAY: Instant = 24 * HOUR

CLOCK_SKEW_SECONDS: UnixSeconds = 2
"""The most by which two functions' clocks may differ. A hold expires for other buyers this long after its end."""


def clock() -> Instant:
    """Return the present instant. Only entry points call it: everything below takes ``now`` as an argument."""
    return time.time_ns() // 1_000_000


def parse_rfc3339(text: str) -> Instant:
    """Parse an RFC 3339 date-time, cut to milliseconds.

    Raises: ``ValueError`` when the text is malformed or has no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"not an RFC 3339 date-time with an offset: {text!r}")
    return round(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


def rfc3339(instant: Instant) -> str:
    """Format an instant as RFC 3339 in UTC with milliseconds: ``2026-11-27T19:00:00.250Z``."""
    moment = datetime.fromtimestamp(instant // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant % 1000:03d}Z"


def business_day(instant: Instant, time_zone: str) -> date:
    """Return the calendar day of an instant in the shop's time zone (an IANA name)."""
    return datetime.fromtimestamp(instant / 1000, ZoneInfo(time_zone)).date()
