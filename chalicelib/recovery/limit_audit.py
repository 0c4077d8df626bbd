"""Compare what limits count for buyers with what their purchases have. No I/O.

An entry of a dead purchase is no fault: the next completion that needs the room removes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.ids import log_reference
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.purchase import (
    LIMIT_RETENTION,
    SETTLE_PERIOD,
    LimitUsage,
    Purchase,
    PurchaseState,
    restocked_units,
)
from chalicelib.recovery.audit_store import LimitUsageRecord

_ORPHAN_AFTER: Final[Instant] = 2 * SETTLE_PERIOD
_CERTAIN_RETENTION: Final[Instant] = LIMIT_RETENTION - DAY
"""For this long after an order was placed, its buyer's record has certainly not expired."""
_NO_RECORD: Final = LimitUsageRecord("", {}, 0)


class LimitFault(StrEnum):
    """The possible faults of the count of a buyer's units."""

    SUM = "limit_sum"
    """The sum is not that of the entries."""
    ORPHAN = "limit_ghost"
    """Counted for a purchase that does not exist: it would count until the record expires."""
    UNCOUNTED = "limit_uncounted"
    """An order has more units of a limited line than are counted for any buyer."""
    OVER = "limit_over"
    """A buyer's orders have more units than the limit at which they were taken."""


@dataclass(frozen=True, slots=True)
class LimitedOrder:
    """Units that an order has of the drop, in a line with a limit."""

    purchase_id: str
    units: int
    limit: int
    placed_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True)
class LimitDiscrepancy:
    """One fault, in one buyer's record as it was read, about these purchases."""

    fault: LimitFault
    record: LimitUsageRecord
    purchases: tuple[str, ...]
    description: str

    @property
    def is_repairable(self) -> bool:
        """Whether it is clear what the right count is."""
        return self.fault in {LimitFault.SUM, LimitFault.ORPHAN}


def limited_order(purchase: Purchase, drop_id: str) -> dict[str, LimitedOrder | None]:
    """Return a purchase's id with the units that it has of a limited line; None where it is no order or has none."""
    if purchase.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}:
        return {purchase.id: None}
    for line in purchase.lines:
        if line.drop_id == drop_id and line.limit_per_buyer is not None:
            units = line.quantity - restocked_units(purchase, line.id)
            placed_at = purchase.placed_at or purchase.created_at
            return {purchase.id: LimitedOrder(purchase.id, units, line.limit_per_buyer, placed_at, purchase.updated_at)}
    return {purchase.id: None}


def without_orphans(usage: LimitUsage, orphans: Collection[str]) -> LimitUsage:
    """Return the entries of purchases that exist."""
    return {purchase_id: entry for purchase_id, entry in usage.items() if purchase_id not in orphans}


def audit_limits(
    records: Collection[LimitUsageRecord], orders: Mapping[str, LimitedOrder | None], now: Instant, *, complete: bool
) -> list[LimitDiscrepancy]:
    """Return everything that does not match. ``orders`` has each purchase of the show.

    Without ``complete`` only sums are compared. An order is compared a minute after its last write, so that it was read
    as it was when the audit began.
    """
    found = _wrong_sums(records)
    if not complete:
        return found
    settled = [order for order in orders.values() if order is not None and order.updated_at + SETTLE_PERIOD <= now]
    latest = _latest_records(records)
    return [*found, *_orphans(records, orders, now), *_uncounted(latest, settled, now), *_over_limit(latest, settled)]


def _wrong_sums(records: Iterable[LimitUsageRecord]) -> list[LimitDiscrepancy]:
    found = []
    for record in records:
        entries = sum(entry.units for entry in record.usage.values())
        if record.units != entries:
            description = f"{record.units} units are counted for a buyer, in entries of {entries}"
            found.append(LimitDiscrepancy(LimitFault.SUM, record, (), description))
    return found


def _orphans(
    records: Iterable[LimitUsageRecord], orders: Mapping[str, LimitedOrder | None], now: Instant
) -> list[LimitDiscrepancy]:
    found = []
    for record in records:
        orphans = tuple(
            purchase_id
            for purchase_id, entry in record.usage.items()
            if purchase_id not in orders and entry.counted_at * SECOND + _ORPHAN_AFTER < now
        )
        if orphans:
            description = f"a buyer's units are counted for {len(orphans)} purchases that do not exist"
            found.append(LimitDiscrepancy(LimitFault.ORPHAN, record, orphans, description))
    return found


def _latest_records(records: Iterable[LimitUsageRecord]) -> dict[str, LimitUsageRecord]:
    """Return the record that counts each purchase, by its latest entry.

    An earlier attempt may have had another buyer's e-mail address.
    """
    latest: dict[str, tuple[int, LimitUsageRecord]] = {}
    for record in records:
        for purchase_id, entry in record.usage.items():
            if purchase_id not in latest or entry.version > latest[purchase_id][0]:
                latest[purchase_id] = (entry.version, record)
    return {purchase_id: record for purchase_id, (_, record) in latest.items()}


def _uncounted(
    latest: Mapping[str, LimitUsageRecord], orders: Iterable[LimitedOrder], now: Instant
) -> list[LimitDiscrepancy]:
    found = []
    for order in orders:
        record = latest.get(order.purchase_id, _NO_RECORD)
        counted = record.usage[order.purchase_id].units if record is not _NO_RECORD else 0
        if counted < order.units and now < order.placed_at + _CERTAIN_RETENTION:
            reference = log_reference(order.purchase_id)
            description = f"{counted} of {order.units} units of order {reference} count for a buyer"
            found.append(LimitDiscrepancy(LimitFault.UNCOUNTED, record, (order.purchase_id,), description))
    return found


def _over_limit(latest: Mapping[str, LimitUsageRecord], orders: Iterable[LimitedOrder]) -> list[LimitDiscrepancy]:
    found, by_buyer = [], defaultdict[str, list[LimitedOrder]](list)
    for order in orders:
        if order.purchase_id in latest:
            by_buyer[latest[order.purchase_id].buyer].append(order)
    for buyers_orders in by_buyer.values():
        units, limit = sum(order.units for order in buyers_orders), max(order.limit for order in buyers_orders)
        if units > limit:
            purchase_ids = tuple(sorted(order.purchase_id for order in buyers_orders))
            references = ", ".join(map(log_reference, purchase_ids))
            description = f"a buyer has {units} units, at most {limit} were allowed: orders {references}"
            found.append(LimitDiscrepancy(LimitFault.OVER, latest[purchase_ids[0]], purchase_ids, description))
    return found
