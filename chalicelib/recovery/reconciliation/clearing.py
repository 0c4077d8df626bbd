"""The clearing statement: the sum of all stored movements beside the provider's own balance.

Both must be equal to the minor unit in each currency. Payouts are among the movements, so the sum is what is still
under way: captured and not yet paid out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chalicelib.instants import SECOND, Clock, Instant
from chalicelib.payments import BalanceSource, Movement, MovementKind
from chalicelib.recovery.reconciliation.store import Sums

FEES: Final = "fees"
"""The row of all fees, which ``clearing`` is less by."""
FOREIGN: Final = "foreign"
CLOCK_SKEW: Final[Instant] = 5 * SECOND
"""How far the provider's clock may be ahead of the shop's."""
_MAX_READINGS: Final = 5


@dataclass(frozen=True, slots=True)
class ClearingRow:
    """One currency of the statement, in minor units. ``opening`` is the balance before the first stored movement.

    ``moved`` has the sums by kind of movement before fees, and ``fees`` with a minus sign. ``clearing`` is the opening
    balance and all of them.
    """

    currency: str
    opening: int
    moved: dict[str, int]
    clearing: int
    balance: int

    @property
    def difference(self) -> int:
        """Return what the provider has more than the movements say."""
        return self.balance - self.clearing


def add_movement(sums: Sums, movement: Movement) -> None:
    """Add a movement to sums by currency and kind. Its fee is a row of its own; a foreign one is whole in its row."""
    by_kind = sums.setdefault(movement.currency, {})
    if movement.is_foreign:
        by_kind[FOREIGN] = by_kind.get(FOREIGN, 0) + movement.net
        return
    kind = FEES if movement.kind is MovementKind.FEE else movement.kind.value
    by_kind[kind] = by_kind.get(kind, 0) + movement.amount
    if movement.fee:
        by_kind[FEES] = by_kind.get(FEES, 0) - movement.fee


def clearing_of(sums: Sums) -> dict[str, int]:
    """Return the sum of all movements by currency."""
    return {currency: sum(by_kind.values()) for currency, by_kind in sums.items()}


def balance_at(source: BalanceSource, until: Instant, clock: Clock) -> dict[str, int] | None:
    """Return the provider's balance as it was at ``until``: the present one less what moved since, by currency.

    Reads what moved before and after it reads the balance, until nothing moved in between. Each list ends at the
    clock of its own reading, so it has all that the balance before it has, however long the calls take. None: the
    balance keeps moving. Costs the provider's list since ``until``, at least twice, and one call.
    """
    before = _moved_since(source, until, clock())
    for _ in range(_MAX_READINGS):
        balance = source.balance(clock())
        after = _moved_since(source, until, clock())
        if before == after:
            currencies = balance.keys() | after.sums.keys()
            return {currency: balance.get(currency, 0) - after.sums.get(currency, 0) for currency in currencies}
        before = after
    return None


@dataclass(frozen=True, slots=True)
class _Moved:
    """How many movements there were, and their sum by currency. Two that add up to 0 still differ from none."""

    number: int
    sums: dict[str, int]


def _moved_since(source: BalanceSource, until: Instant, now: Instant) -> _Moved:
    sums: defaultdict[str, int] = defaultdict(int)
    number = 0
    end = (now + CLOCK_SKEW) // SECOND * SECOND + SECOND
    for movement in source.movements(until, end):
        sums[movement.currency] += movement.net
        number += 1
    return _Moved(number, dict(sums))


def statement(sums: Sums, opening: Mapping[str, int], balance: Mapping[str, int]) -> list[ClearingRow]:
    """Return the statement, one row for each currency that has a balance or moved."""
    clearing = clearing_of(sums)
    rows = []
    for currency in sorted(sums.keys() | opening.keys() | balance.keys()):
        begun = opening.get(currency, 0)
        total = begun + clearing.get(currency, 0)
        moved = dict(sorted(sums.get(currency, {}).items()))
        rows.append(ClearingRow(currency, begun, moved, total, balance.get(currency, 0)))
    return rows
