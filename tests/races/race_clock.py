"""The clock of a race, shared by its processes. It advances when a buyer says so; no real clock is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from chalicelib.instants import SECOND, Instant

MAX_REQUEST_LIFETIME: Final[Instant] = 50 * SECOND
"""The longest lifetime of a request, shorter than that of a fence. The clock waits for the oldest request."""

_REQUESTS: Final = 512


class RaceClock:
    """The present instant, and the start of each pending request."""

    def __init__(self) -> None:
        self._cells = get_context("spawn").Array("q", 1 + _REQUESTS)

    def reset(self, now: Instant) -> None:
        """Start a new race at ``now``, without pending requests."""
        with self._cells:
            self._cells[:] = [now] + [0] * _REQUESTS

    def now(self) -> Instant:
        with self._cells:
            return int(self._cells[0])

    def advance(self, milliseconds: Instant) -> None:
        """Advance the clock, but not beyond the lifetime of a pending request."""
        with self._cells:
            oldest = min((began for began in self._cells[1:] if began), default=None)
            wanted = self._cells[0] + milliseconds
            self._cells[0] = (
                wanted if oldest is None else max(self._cells[0], min(wanted, oldest + MAX_REQUEST_LIFETIME))
            )

    @contextmanager
    def request(self) -> Iterator[Instant]:
        """Start a request at the present instant, which it gets as its ``now``. It is pending until the block ends."""
        with self._cells:
            slot = self._cells[1:].index(0) + 1
            began = self._cells[slot] = int(self._cells[0])
        try:
            yield began
        finally:
            with self._cells:
                self._cells[slot] = 0
