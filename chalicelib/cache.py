"""A cache of one second in a process, which reads each key once however many threads ask for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock
from typing import Generic, TypeVar

from chalicelib.instants import SECOND, Instant

Value = TypeVar("Value")


class _InFlightRead(Generic[Value]):
    """A read in flight. Threads that ask meanwhile wait for it, and share its value or its failure."""

    def __init__(self) -> None:
        self.done = Event()
        self.value: Value | None = None
        self.failure: BaseException | None = None


class SingleFlightCache(Generic[Value]):
    """Caches values by key for one second; evicts the least recently used beyond ``capacity``. Safe between threads.

    ``ttl`` may return a shorter life of a value (ms). A missing value is not cached, so that it is found as soon as it
    exists.
    """

    def __init__(self, capacity: int, ttl: Callable[[Value, Instant], Instant] | None = None) -> None:
        self._capacity = capacity
        self._ttl = ttl
        self._lock = Lock()
        self._values: OrderedDict[str, tuple[Instant, Value]] = OrderedDict()
        self._in_flight: dict[str, _InFlightRead[Value]] = {}

    def get(self, key: str, now: Instant, read: Callable[[], Value | None]) -> Value | None:
        """Return the value of a key, from the cache or by ``read``. Its age counts from that thread's ``now``."""
        with self._lock:
            cached = self._values.get(key)
            if cached is not None and abs(now - cached[0]) < self._ttl_of(cached[1], now):
                self._values.move_to_end(key)
                return cached[1]
            in_flight = self._in_flight.get(key)
            first = in_flight is None
            if in_flight is None:
                in_flight = self._in_flight[key] = _InFlightRead()
        if first:
            self._read_through(key, now, read, in_flight)
        in_flight.done.wait()
        if in_flight.failure is not None:
            raise in_flight.failure
        return in_flight.value

    def invalidate(self, key: str) -> None:
        """Drop the value of a key. A read in flight is not cached either: it may have missed the change."""
        with self._lock:
            self._values.pop(key, None)
            self._in_flight.pop(key, None)

    def _ttl_of(self, value: Value, now: Instant) -> Instant:
        return SECOND if self._ttl is None else min(SECOND, self._ttl(value, now))

    def _read_through(
        self, key: str, now: Instant, read: Callable[[], Value | None], in_flight: _InFlightRead[Value]
    ) -> None:
        try:
            in_flight.value = read()
        except BaseException as failure:
            in_flight.failure = failure
        finally:
            with self._lock:
                if self._in_flight.get(key) is in_flight:
                    del self._in_flight[key]
                    self._values.pop(key, None)
                    if in_flight.value is not None:
                        self._values[key] = (now, in_flight.value)
                    if len(self._values) > self._capacity:
                        self._values.popitem(last=False)
            in_flight.done.set()
