"""Whether a history of concurrent operations could have happened one after another.

Wing and Gong's search ("Testing and verifying concurrent objects", 1993): find an order that keeps operations that did
not overlap as they were, and in which each answer is what the rules say. With Lowe's memory ("Testing for
linearizability", 2017): a set of operations done that leads to a state seen before is not followed again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

StateT = TypeVar("StateT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class RecordedOperation:
    """One operation: when it was called and when it returned, on one counter; None: it never did.

    One that never returned may take effect at any time after its call, or never.
    """

    called: int
    returned: int | None
    operation: Any
    answer: Any = None

    @property
    def answered(self) -> bool:
        return self.returned is not None


SequentialSpec = Callable[[StateT, RecordedOperation], Iterable[StateT]]
"""The states that an event may leave behind; none where its answer contradicts the state that it met."""


def is_linearizable(history: Sequence[RecordedOperation], start: StateT, spec: SequentialSpec[StateT]) -> bool:
    """Whether the history has an order that the rules allow. Exponential in operations that overlap."""
    events = sorted(history, key=lambda event: event.called)
    wanted = sum(1 << i for i, event in enumerate(events) if event.answered)
    seen: set[tuple[int, StateT]] = set()
    paths = [(0, start)]
    while paths:
        done, state = path = paths.pop()
        if done & wanted == wanted:
            return True
        if path in seen:
            continue
        seen.add(path)
        left = [i for i in range(len(events)) if not done >> i & 1]
        first_end = min(end for i in left if (end := events[i].returned) is not None)
        for i in left:
            if events[i].called > first_end:
                break
            paths += [(done | 1 << i, after) for after in spec(state, events[i])]
    return False
