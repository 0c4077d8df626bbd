"""A balance is believed only when nothing moved while it was read, however long the reading takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.payments import Movement, MovementKind
from chalicelib.recovery.reconciliation.clearing import balance_at
from tests.builders.movements import a_movement
from tests.builders.purchases import NOW

OPENING, NET = 500, 1_625
UNTIL = NOW - 5 * MINUTE


class SlowBalance:
    """A provider with a clock: each call takes a time, and a list has what was created before the call and ``until``.

    ``moves`` are the instants at which it takes a payment.
    """

    name = "sandbox"

    def __init__(self, moves: tuple[Instant, ...], takes: Instant, refunds: tuple[Instant, ...] = ()) -> None:
        self.now, self._takes = NOW, takes
        charges = [replace(a_movement(f"charge-{at}"), created_at=at) for at in moves]
        self._moved = [*charges, *(_returned(at) for at in refunds)]

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        found = [one for one in self._moved if since <= one.created_at < until and one.created_at <= self.now]
        self.now += self._takes
        return iter(found)

    def balance(self, now: Instant) -> dict[str, int]:
        assert now == self.now
        self.now += self._takes
        return {"GBP": OPENING + sum(one.net for one in self._moved if one.created_at <= self.now)}


def _returned(at: Instant) -> Movement:
    """Return a refund that takes exactly what a payment brought."""
    charge = a_movement(f"refund-{at}")
    return replace(charge, kind=MovementKind.REFUND, amount=-charge.amount, fee=-charge.fee, created_at=at)


@pytest.mark.parametrize("takes", [0, SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND])
@pytest.mark.parametrize("payments", range(4))
def test_balance_is_read_again_until_nothing_moved_meanwhile(payments: int, takes: Instant) -> None:
    moves = tuple(NOW + takes + number * 2 * takes for number in range(payments))
    source = SlowBalance((UNTIL - 1, NOW - MINUTE, *moves), takes)
    assert balance_at(source, UNTIL, lambda: source.now) == {"GBP": OPENING + NET}


@pytest.mark.parametrize("takes", [SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND])
def test_balance_that_keeps_moving_is_not_believed(takes: Instant) -> None:
    source = SlowBalance(tuple(range(NOW, NOW + 60 * takes, takes)), takes)
    assert balance_at(source, UNTIL, lambda: source.now) is None


def test_movements_that_add_up_to_nothing_are_movements() -> None:
    source = SlowBalance((NOW + 2 * SECOND,), SECOND, refunds=(NOW + 3 * SECOND,))
    assert balance_at(source, UNTIL, lambda: source.now) == {"GBP": OPENING}
    assert source.now > NOW + 3 * SECOND
