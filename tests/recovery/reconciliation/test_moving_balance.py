"""A balance is believed only when nothing moved while it was read."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.instants import Instant
from chalicelib.payments import Movement
from chalicelib.recovery.reconciliation.clearing import balance_at
from tests.builders.movements import a_movement
from tests.builders.purchases import NOW

OPENING, NET = 500, 1_625


class MovingBalance:
    """A provider that takes a payment right after each of its first answers about its balance."""

    name = "sandbox"

    def __init__(self, payments_to_come: int) -> None:
        self._to_come, self._taken = payments_to_come, 0

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        return iter([a_movement(str(number)) for number in range(self._taken)])

    def balance(self, now: Instant) -> dict[str, int]:
        answer = {"GBP": OPENING + NET * self._taken}
        if self._to_come:
            self._to_come, self._taken = self._to_come - 1, self._taken + 1
        return answer


def test_balance_is_read_again_until_nothing_moved_meanwhile() -> None:
    for payments in range(4):
        assert balance_at(MovingBalance(payments), NOW, NOW) == {"GBP": OPENING}


def test_balance_that_keeps_moving_is_not_believed() -> None:
    assert balance_at(MovingBalance(100), NOW, NOW) is None
