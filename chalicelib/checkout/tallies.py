"""What limits count for buyers, against what their purchases have. Pure.

Entries of dead purchases are no miscount: they are forgotten when their buyer needs the room (``limits``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.checkout.audit_store import Tallied
from chalicelib.checkout.claims import AT_WORK
from chalicelib.checkout.identity import log_reference
from chalicelib.checkout.model import Purchase, PurchaseState
from chalicelib.checkout.refund import refunded_units
from chalicelib.checkout.store import LIMITS_KEPT, Tally
from chalicelib.instants import DAY, SECOND, Instant

_OLD_ENOUGH: Final[Instant] = 2 * AT_WORK
_SURELY_KEPT: Final[Instant] = LIMITS_KEPT - DAY


class Miscounted(StrEnum):
    """What may be wrong with the count of a buyer's units."""

    SUM = "limit_sum"
    """The sum is not that of the entries."""
    GHOST = "limit_ghost"
    """Counted for a purchase that does not exist: it would count until the tally expires."""
    UNCOUNTED = "limit_uncounted"
    """An order has more units of a limited line than are counted for any buyer."""
    OVER = "limit_over"
    """A buyer's orders have more units than the limit at which they were taken."""


@dataclass(frozen=True, slots=True)
class Bought:
    """Units that an order has of the drop, of a line with a limit."""

    purchase_id: str
    units: int
    limit: int
    placed_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True)
class Miscount:
    """One fault. ``tallied`` as it was read; ``purchases`` are those it is about."""

    fault: Miscounted
    tallied: Tallied
    purchases: tuple[str, ...]
    sentence: str

    @property
    def mendable(self) -> bool:
        """Whether it is clear what is right."""
        return self.fault in {Miscounted.SUM, Miscounted.GHOST}


def bought(purchase: Purchase, drop_id: str) -> dict[str, Bought | None]:
    """A purchase by its id, with what it has of a limited line if it is an order."""
    if purchase.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}:
        return {purchase.id: None}
    for line in purchase.lines:
        if line.drop_id == drop_id and line.limit_per_buyer is not None:
            finished = purchase.model_copy(update={"refunds": tuple(one for one in purchase.refunds if one.restocked)})
            units = line.quantity - refunded_units(finished, line.id, restocked_only=True)
            placed_at = purchase.placed_at or purchase.created_at
            return {purchase.id: Bought(purchase.id, units, line.limit_per_buyer, placed_at, purchase.updated_at)}
    return {purchase.id: None}


def without_ghosts(tally: Tally, ghosts: Collection[str]) -> Tally:
    """The entries that stay."""
    return {one: entry for one, entry in tally.items() if one not in ghosts}


def judge_tallies(
    tallies: Collection[Tallied], orders: Mapping[str, Bought | None], now: Instant, *, complete: bool
) -> list[Miscount]:
    """Everything that does not match. ``orders`` has each purchase of the show; without ``complete`` only sums count.

    An order is judged a minute after its last write: by then it stood as it was read when the reading began.
    """
    found = [
        Miscount(Miscounted.SUM, one, (), f"{one.units} units are counted for a buyer, in entries of {entries}")
        for one in tallies
        if one.units != (entries := sum(entry.units for entry in one.tally.values()))
    ]
    if not complete:
        return found
    for one in tallies:
        ghosts = [
            purchase_id
            for purchase_id, entry in one.tally.items()
            if purchase_id not in orders and entry.at * SECOND + _OLD_ENOUGH < now
        ]
        if ghosts:
            sentence = f"a buyer's units are counted for {len(ghosts)} purchases that do not exist"
            found.append(Miscount(Miscounted.GHOST, one, tuple(ghosts), sentence))
    settled = [one for one in orders.values() if one is not None and one.updated_at + AT_WORK <= now]
    return [*found, *_of_orders(tallies, settled, now)]


def _of_orders(tallies: Iterable[Tallied], orders: Iterable[Bought], now: Instant) -> list[Miscount]:
    """Each order counts where its latest entry is: a buyer may have been another one at an earlier attempt."""
    latest: dict[str, tuple[int, Tallied]] = {}
    for tallied in tallies:
        for one, entry in tallied.tally.items():
            if one not in latest or entry.version > latest[one][0]:
                latest[one] = (entry.version, tallied)
    found, of_buyer = [], defaultdict[str, list[Bought]](list)
    for order in orders:
        tallied = latest[order.purchase_id][1] if order.purchase_id in latest else _NOBODY
        counted = tallied.tally[order.purchase_id].units if tallied is not _NOBODY else 0
        of_buyer[tallied.buyer].append(order)
        if counted < order.units and now < order.placed_at + _SURELY_KEPT:
            sentence = f"{counted} of {order.units} units of order {log_reference(order.purchase_id)} count for a buyer"
            found.append(Miscount(Miscounted.UNCOUNTED, tallied, (order.purchase_id,), sentence))
    of_buyer.pop(_NOBODY.buyer, None)
    whose = {tallied.buyer: tallied for _, tallied in latest.values()}
    for buyer, theirs in of_buyer.items():
        units, most = sum(order.units for order in theirs), max(order.limit for order in theirs)
        if units > most:
            names = tuple(sorted(order.purchase_id for order in theirs))
            told = ", ".join(map(log_reference, names))
            sentence = f"a buyer has {units} units, at most {most} were allowed: orders {told}"
            found.append(Miscount(Miscounted.OVER, whose[buyer], names, sentence))
    return found


_NOBODY: Final = Tallied("", {}, 0)
