"""The time of a race, shared by its processes. It moves when a buyer lets it pass; nothing in a race reads a clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from chalicelib.instants import SECOND, Instant

MAX_REQUEST_LIFETIME: Final[Instant] = 50 * SECOND
"""How long a request lives at most, as a function does: time waits for the oldest. Less than a fence lasts."""

_REQUESTS: Final = 512


class RaceClock:
    """The present instant, and when each request that is under way began."""

    def __init__(self) -> None:
        self._cells = get_context("spawn").Array("q", 1 + _REQUESTS)

    def reset(self, now: Instant) -> None:
        """A new race begins at ``now``; no request is under way."""
        with self._cells:
            self._cells[:] = [now] + [0] * _REQUESTS

    def now(self) -> Instant:
        with self._cells:
            return int(self._cells[0])

    def advance(self, milliseconds: Instant) -> None:
        """Time goes on, though not past the life of a request that is under way."""
        with self._cells:
            oldest = min((began for began in self._cells[1:] if began), default=None)
            wanted = self._cells[0] + milliseconds
            self._cells[0] = (
                wanted if oldest is None else max(self._cells[0], min(wanted, oldest + MAX_REQUEST_LIFETIME))
            )

    @contextmanager
    def request(self) -> Iterator[Instant]:
        """A request that begins now, at the instant which it gets as its ``now``, and is under way until the end."""
        with self._cells:
            slot = self._cells[1:].index(0) + 1
            began = self._cells[slot] = int(self._cells[0])
        try:
            yield began
        finally:
            with self._cells:
                self._cells[slot] = 0
