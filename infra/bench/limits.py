"""The limits and prices of the simulation. ``scenarios.ASSUMPTIONS`` names their sources."""

from __future__ import annotations

from typing import Final

WRITES_PER_PARTITION: Final = 1_000
READS_PER_PARTITION: Final = 3_000
USD_PER_MILLION_WRITES: Final = 0.625
USD_PER_MILLION_READS: Final = 0.125

SDK_ATTEMPTS: Final = 3
RETRY_TOKENS: Final = 500
RETRY_COST: Final = 5
"""botocore's retry quota of a client, and the part of it that one repeat of a throttled call costs."""


class Capacity:
    """A rate of units per second. It saves at most one second's units: no burst, no adaptive capacity."""

    def __init__(self, per_second: float) -> None:
        self._per_second = self._left = per_second
        self._at = 0.0

    def admit(self, units: float, now: float) -> bool:
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < units:
            return False
        self._left -= units
        return True


class Throttled(Exception):
    """The SDK stopped repeating a throttled call. The API answers 503."""
