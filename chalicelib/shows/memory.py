"""What a process remembers of the last second: each thing is read once, however many ask for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Event, Lock
from typing import Generic, TypeVar

from chalicelib.instants import SECOND, Instant

Value = TypeVar("Value")


class _Flight(Generic[Value]):
    """A reading on its way; those who ask meanwhile wait for it and share its value or its failure."""

    def __init__(self) -> None:
        self.landed = Event()
        self.value: Value | None = None
        self.failure: BaseException | None = None


class Memory(Generic[Value]):
    """Values at most one second old, by key; the least recently used are forgotten beyond ``capacity``.

    ``lasts`` says of a value how long it is remembered (ms). Safe between threads. What does not exist is not
    remembered, so that it is seen as soon as it does.
    """

    def __init__(self, capacity: int, lasts: Callable[[Value, Instant], Instant] | None = None) -> None:
        self._capacity = capacity
        self._lasts = lasts
        self._lock = Lock()
        self._values: OrderedDict[str, tuple[Instant, Value]] = OrderedDict()
        self._flights: dict[str, _Flight[Value]] = {}

    def recall(self, key: str, now: Instant, read: Callable[[], Value | None]) -> Value | None:
        """The value of a key, from memory or by ``read``. Its age counts from the ``now`` of who made it be read."""
        with self._lock:
            known = self._values.get(key)
            if known is not None and abs(now - known[0]) < self._lasting(known[1], now):
                self._values.move_to_end(key)
                return known[1]
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if first:
            self._fly(key, now, read, flight)
        flight.landed.wait()
        if flight.failure is not None:
            raise flight.failure
        return flight.value

    def forget(self, key: str) -> None:
        """Read anew next time. A reading already on its way is not remembered either: it may have missed the change."""
        with self._lock:
            self._values.pop(key, None)
            self._flights.pop(key, None)

    def _lasting(self, value: Value, now: Instant) -> Instant:
        return SECOND if self._lasts is None else min(SECOND, self._lasts(value, now))

    def _fly(self, key: str, now: Instant, read: Callable[[], Value | None], flight: _Flight[Value]) -> None:
        try:
            flight.value = read()
        except BaseException as failure:
            flight.failure = failure
        finally:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
                    self._remember(key, now, flight.value)
            flight.landed.set()

    def _remember(self, key: str, now: Instant, value: Value | None) -> None:
        if value is None:
            self._values.pop(key, None)
            return
        self._values[key] = (now, value)
        self._values.move_to_end(key)
        while len(self._values) > self._capacity:
            self._values.popitem(last=False)
