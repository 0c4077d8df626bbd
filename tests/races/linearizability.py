"""Decide whether a history of concurrent operations could have happened one after another.

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993). It looks for an order that keeps
operations that did not overlap in sequence, and in which each answer obeys the sequential specification. As in Lowe
("Testing for linearizability", 2017), a set of operations that led to a state already visited is not followed again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

StateT = TypeVar("StateT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class RecordedOperation:
    """An operation with the instants of its call and its return, on one counter.

    An operation that never returned (None) may take effect at any time after its call, or never.
    """

    called: int
    returned: int | None
    operation: Any
    answer: Any = None

    @property
    def answered(self) -> bool:
        return self.returned is not None


SequentialSpec = Callable[[StateT, RecordedOperation], Iterable[StateT]]
"""Returns the states after an operation. There are none where its answer contradicts the state before it."""


def is_linearizable(history: Sequence[RecordedOperation], start: StateT, spec: SequentialSpec[StateT]) -> bool:
    """Whether the specification allows some order of the history. Exponential in operations that overlap."""
    events = sorted(history, key=lambda event: event.called)
    wanted = sum(1 << i for i, event in enumerate(events) if event.answered)
    visited: set[tuple[int, StateT]] = set()
    paths = [(0, start)]
    while paths:
        done, state = path = paths.pop()
        if done & wanted == wanted:
            return True
        if path in visited:
            continue
        visited.add(path)
        left = [i for i in range(len(events)) if not done >> i & 1]
        first_end = min(end for i in left if (end := events[i].returned) is not None)
        for i in left:
            if events[i].called > first_end:
                break
            paths += [(done | 1 << i, after) for after in spec(state, events[i])]
    return False
