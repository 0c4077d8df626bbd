"""What limits count for buyers, against what their purchases have. Pure.

Entries of dead purchases are no miscount: they are forgotten when their buyer needs the room (``limits``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.ids import log_reference
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.purchase import LIMIT_RETENTION, SETTLE_PERIOD, LimitUsage, Purchase, PurchaseState, restocked_units
from chalicelib.recovery.audit_store import LimitUsageRecord

_ORPHAN_AFTER: Final[Instant] = 2 * SETTLE_PERIOD
_CERTAIN_RETENTION: Final[Instant] = LIMIT_RETENTION - DAY


class LimitFault(StrEnum):
    """What may be wrong with the count of a buyer's units."""

    SUM = "limit_sum"
    """The sum is not that of the entries."""
    ORPHAN = "limit_ghost"
    """Counted for a purchase that does not exist: it would count until the tally expires."""
    UNCOUNTED = "limit_uncounted"
    """An order has more units of a limited line than are counted for any buyer."""
    OVER = "limit_over"
    """A buyer's orders have more units than the limit at which they were taken."""


@dataclass(frozen=True, slots=True)
class LimitedOrder:
    """Units that an order has of the drop, of a line with a limit."""

    purchase_id: str
    units: int
    limit: int
    placed_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True)
class LimitDiscrepancy:
    """One fault. ``tallied`` as it was read; ``purchases`` are those it is about."""

    fault: LimitFault
    record: LimitUsageRecord
    purchases: tuple[str, ...]
    description: str

    @property
    def is_repairable(self) -> bool:
        """Whether it is clear what is right."""
        return self.fault in {LimitFault.SUM, LimitFault.ORPHAN}


def limited_order(purchase: Purchase, drop_id: str) -> dict[str, LimitedOrder | None]:
    """A purchase by its id, with what it has of a limited line if it is an order."""
    if purchase.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}:
        return {purchase.id: None}
    for line in purchase.lines:
        if line.drop_id == drop_id and line.limit_per_buyer is not None:
            units = line.quantity - restocked_units(purchase, line.id)
            placed_at = purchase.placed_at or purchase.created_at
            return {purchase.id: LimitedOrder(purchase.id, units, line.limit_per_buyer, placed_at, purchase.updated_at)}
    return {purchase.id: None}


def without_orphans(usage: LimitUsage, orphans: Collection[str]) -> LimitUsage:
    """The entries that stay."""
    return {one: entry for one, entry in usage.items() if one not in orphans}


def audit_limits(
    records: Collection[LimitUsageRecord], orders: Mapping[str, LimitedOrder | None], now: Instant, *, complete: bool
) -> list[LimitDiscrepancy]:
    """Everything that does not match. ``orders`` has each purchase of the show; without ``complete`` only sums count.

    An order is judged a minute after its last write: by then it stood as it was read when the reading began.
    """
    found = [
        LimitDiscrepancy(LimitFault.SUM, one, (), f"{one.units} units are counted for a buyer, in entries of {entries}")
        for one in records
        if one.units != (entries := sum(entry.units for entry in one.usage.values()))
    ]
    if not complete:
        return found
    for one in records:
        orphans = [
            purchase_id
            for purchase_id, entry in one.usage.items()
            if purchase_id not in orders and entry.counted_at * SECOND + _ORPHAN_AFTER < now
        ]
        if orphans:
            description = f"a buyer's units are counted for {len(orphans)} purchases that do not exist"
            found.append(LimitDiscrepancy(LimitFault.ORPHAN, one, tuple(orphans), description))
    settled = [one for one in orders.values() if one is not None and one.updated_at + SETTLE_PERIOD <= now]
    return [*found, *_order_discrepancies(records, settled, now)]


def _order_discrepancies(
    records: Iterable[LimitUsageRecord], orders: Iterable[LimitedOrder], now: Instant
) -> list[LimitDiscrepancy]:
    """Each order counts where its latest entry is: a buyer may have been another one at an earlier attempt."""
    latest: dict[str, tuple[int, LimitUsageRecord]] = {}
    for record in records:
        for one, entry in record.usage.items():
            if one not in latest or entry.version > latest[one][0]:
                latest[one] = (entry.version, record)
    found, of_buyer = [], defaultdict[str, list[LimitedOrder]](list)
    for order in orders:
        record = latest[order.purchase_id][1] if order.purchase_id in latest else _NO_RECORD
        counted = record.usage[order.purchase_id].units if record is not _NO_RECORD else 0
        of_buyer[record.buyer].append(order)
        if counted < order.units and now < order.placed_at + _CERTAIN_RETENTION:
            description = (
                f"{counted} of {order.units} units of order {log_reference(order.purchase_id)} count for a buyer"
            )
            found.append(LimitDiscrepancy(LimitFault.UNCOUNTED, record, (order.purchase_id,), description))
    of_buyer.pop(_NO_RECORD.buyer, None)
    whose = {tallied.buyer: tallied for _, tallied in latest.values()}
    for buyer, buyers_orders in of_buyer.items():
        units, limit = sum(order.units for order in buyers_orders), max(order.limit for order in buyers_orders)
        if units > limit:
            names = tuple(sorted(order.purchase_id for order in buyers_orders))
            references = ", ".join(map(log_reference, names))
            description = f"a buyer has {units} units, at most {limit} were allowed: orders {references}"
            found.append(LimitDiscrepancy(LimitFault.OVER, whose[buyer], names, description))
    return found


_NO_RECORD: Final = LimitUsageRecord("", {}, 0)
