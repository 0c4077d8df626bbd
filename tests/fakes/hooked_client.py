"""A DynamoDB client with hooks around each call: a process that dies there, or a rival that acts there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.process_died import ProcessDied


@dataclass
class HookedClient:
    """A DynamoDB client that calls ``before`` and ``after`` around every call, with its number and operation."""

    client: Any
    before: Callable[[int, str], None] = lambda number, operation: None
    after: Callable[[int, str], None] = lambda number, operation: None
    calls: int = field(default=0, init=False)

    def __getattr__(self, operation: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls += 1
            number = self.calls
            self.before(number, operation)
            answer = getattr(self.client, operation)(**arguments)
            self.after(number, operation)
            return answer

        return call


def die_from_call(at: int) -> Callable[[int, str], None]:
    """Die at call number ``at`` and at every later one."""

    def die(number: int, operation: str) -> None:
        if number >= at:
            raise ProcessDied(f"{operation}, call {number}")

    return die


def once_at_call(operation: str, act: Callable[[], object]) -> Callable[[int, str], None]:
    """Run ``act`` at the first call of an operation."""
    done: list[str] = []

    def at(number: int, called: str) -> None:
        if called == operation and not done:
            done.append(called)
            act()

    return at
