"""Time in milliseconds, moved by the test or read from a clock that the test owns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Clock = Callable[[], int]
"""Returns the present instant in milliseconds since 1970."""

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

START: Final = 1_795_000_000_000
"""The instant at which a manual clock begins: 18 November 2026, 11:06:40 UTC."""


@dataclass
class ManualClock:
    """A clock that only :meth:`advance` moves."""

    now: int = START

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        if seconds < 0:
            raise ValueError("`seconds` must be 0 or more: Stripe's time never goes back.")
        self.now += round(seconds * SECOND)
