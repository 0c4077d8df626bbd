"""Audit: every unit of a drop against the purchases, and everything that does not match. It writes nothing.

Nothing is called wrong because it was read at two times: buckets are read before purchases, as every unit is sold or
held for longer than a minute only after its purchase was written; what was written within the last minute is let be,
so that all purchases which are judged stood at the audit's beginning as they were read; and each fault of a hold counts
only when a second strong reading of the bucket, and of the purchases of all shows, still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from chalicelib.errors import NotFound, WriteConflict
from chalicelib.ids import log_reference, order_ref
from chalicelib.instants import Instant, UnixSeconds
from chalicelib.purchase import CheckoutContext, Purchase
from chalicelib.recovery.audit_store import LimitUsageRecord, read_pages
from chalicelib.recovery.discrepancies import Discrepancy, DropAudit, unit_totals
from chalicelib.recovery.expected_holds import (
    ExpectedHold,
    GracePeriod,
    HoldFault,
    classify,
    expected_holds_of,
    expected_without_hold,
)
from chalicelib.recovery.limit_audit import LimitedOrder, audit_limits, limited_order
from chalicelib.shows import Drop, DropWithPlan
from chalicelib.stock import HoldRef, HoldStatus, StockAudit, has_expired_hold
from chalicelib.telemetry import count, logger

_TRIES = 10

TimeBudget = Callable[[], bool]
"""Whether the time that a call may take is used up."""


@dataclass(slots=True)
class _Expectations:
    """What purchases claim: by hold id, and by the reference of those orders that buckets name."""

    by_hold: dict[str, ExpectedHold] = field(default_factory=dict)
    by_order: dict[str, ExpectedHold] = field(default_factory=dict)
    max_hold_untils: set[UnixSeconds] = field(default_factory=set)
    limited_orders: dict[str, LimitedOrder | None] = field(default_factory=dict)
    limit_records: list[LimitUsageRecord] = field(default_factory=list)
    purchases: int = 0
    last_updated_at: Instant = 0
    """When a purchase of the show was last written."""
    complete: bool = True

    def expected_for(self, hold_id: str, status: HoldStatus | None) -> ExpectedHold | None:
        order = None if status is None or status.order is None else order_ref(status.order)
        return self.by_hold.get(hold_id) or (None if order is None else self.by_order.get(order))

    def add_purchase(self, purchase: Purchase, drop_id: str | None) -> bool:
        """Take a purchase in; whether it claims something of the drop (None: of any)."""
        expected = {one.hold.id: one for one in expected_holds_of(purchase, drop_id) if one.hold is not None}
        self.by_hold |= expected
        self.max_hold_untils |= {line.max_hold_until for line in purchase.lines if drop_id in {None, line.drop_id}}
        self.last_updated_at = max(self.last_updated_at, purchase.updated_at)
        return bool(expected)


def audit_drop(
    context: CheckoutContext, drop_id: str, now: Instant, time_is_up: TimeBudget, *, purchases: bool = True
) -> DropAudit:
    """Compare a drop's buckets with its record, its purchases and its summary. ``NotFound``; writes nothing.

    Costs 1 RCU a bucket and a scan of the whole commerce table (1 RCU for each 4 KB of it), which ends early, with
    ``complete`` False, when ``enough`` says so; without ``purchases`` only the buckets. What seems wrong is read again:
    1 RCU a bucket and a purchase of it, and the scan once more where units seem to be nobody's.
    """
    record, stock = _read_drop_and_buckets(context, drop_id, now)
    drop = record.drop
    result = DropAudit(drop, now, stock, record.plan, complete=False, mismatches=stock.mismatches)
    if not purchases:
        return result
    statuses = dict(stock.hold_statuses)
    expectations = _read_expectations(context, drop, statuses.values(), time_is_up)
    result.purchases = expectations.purchases
    result.owners = {
        hold: expected for hold in statuses if (expected := expectations.expected_for(hold, statuses[hold]))
    }
    grace = GracePeriod(now, drop.hold_seconds, record.changed_at, frozenset(expectations.max_hold_untils))
    suspects = _classify_all(statuses.keys() | expectations.by_hold.keys(), statuses, expectations, grace)
    result.discrepancies = _confirm(context, drop, suspects, expectations, grace, time_is_up)
    result.complete = expectations.complete
    result.buyers = len(expectations.limit_records)
    result.limit_discrepancies = audit_limits(
        expectations.limit_records, expectations.limited_orders, now, complete=expectations.complete
    )
    _report_missing_paid_units(result)
    descriptions = [one.description for one in result.discrepancies] + [
        one.description for one in result.limit_discrepancies
    ]
    result.mismatches += tuple(description for description in descriptions if description is not None)
    result.mismatches += tuple(_drop_mismatches(context, result, record, expectations.last_updated_at, grace))
    return result


def _report_missing_paid_units(result: DropAudit) -> None:
    """Paid units that are gone cannot be mended: whoever operates the shop has to hear of them."""
    for one in result.discrepancies:
        if one.fault is HoldFault.PAID_GONE and one.expected is not None:
            count("paid_units_missing", one.expected.min_units - (one.status.quantity if one.status else 0))
            extra = {"drop": result.drop.id, "hold": one.hold_id, "purchase": log_reference(one.expected.purchase_id)}
            logger.error("units of a paid order are gone", extra=extra)


def _read_drop_and_buckets(context: CheckoutContext, drop_id: str, now: Instant) -> tuple[DropWithPlan, StockAudit]:
    """The record and the buckets, read while the record stayed as it was: a plan changes both."""
    record = context.shows.drop_with_plan(drop_id)
    for _ in range(_TRIES):
        if record is None:
            raise NotFound("There is no such drop.", field="id")
        counted = context.stock.audit(record.drop.pool, record.drop.stock, now, record.plan)
        after = context.shows.drop_with_plan(drop_id)
        if after == record or not counted.mismatches:
            return record, counted
        record = after
    raise WriteConflict("The drop is being changed by others again and again.")


def _read_expectations(
    context: CheckoutContext,
    drop: Drop,
    statuses: Iterable[HoldStatus],
    time_is_up: TimeBudget,
    *,
    all_shows: bool = False,
) -> _Expectations:
    """What the purchases of the drop's show claim of it, as far as there is time.

    Of ``all_shows``: whatever any purchase claims, so that nothing is called nobody's that somebody names anywhere.
    """
    orders = {order_ref(one.order) for one in statuses if one.order is not None}
    expectations = _Expectations()
    for page in read_pages(context.purchases, drop.id, None if all_shows else drop.show_id):
        if time_is_up():
            expectations.complete = False
            break
        expectations.limit_records += page.limit_records
        for purchase in page.purchases:
            expectations.purchases += expectations.add_purchase(purchase, None if all_shows else drop.id)
            expectations.limited_orders |= limited_order(purchase, drop.id)
            if purchase.order_ref in orders:
                expectations.by_order[purchase.order_ref] = expected_without_hold(purchase)
    return expectations


def _classify_all(
    holds: Iterable[str], statuses: dict[str, HoldStatus], expectations: _Expectations, grace: GracePeriod
) -> list[Discrepancy]:
    found = []
    for hold_id in sorted(holds):
        status = statuses.get(hold_id)
        expected = expectations.expected_for(hold_id, status)
        fault = classify(status, expected, grace) if expected is not None or expectations.complete else None
        if fault is not None:
            found.append(Discrepancy(fault, hold_id, status, expected))
    return found


def _confirm(
    context: CheckoutContext,
    drop: Drop,
    suspects: list[Discrepancy],
    expectations: _Expectations,
    grace: GracePeriod,
    time_is_up: TimeBudget,
) -> list[Discrepancy]:
    """Those of the suspects that a second reading of both sides shows too. Cut short, ``names`` are not complete."""
    if not suspects:
        return []
    refs = [(drop.pool, _hold_ref(one)) for one in suspects]
    read_again = {
        one.hold_id: status for one, status in zip(suspects, context.stock.get_hold_statuses(refs), strict=True)
    }
    statuses = {hold_id: standing for hold_id, standing in read_again.items() if standing is not None}
    has_orphans = any(one.expected is None and one.hold_id in statuses for one in suspects)
    again = (
        _read_expectations(context, drop, statuses.values(), time_is_up, all_shows=True)
        if has_orphans
        else _Expectations()
    )
    for purchase_id in sorted({one.expected.purchase_id for one in suspects if one.expected is not None}):
        if time_is_up():
            again.complete = False
            break
        purchase = context.purchases.read(purchase_id)
        if purchase is not None:
            again.by_order[purchase.order_ref] = expected_without_hold(purchase)
            again.add_purchase(purchase, drop.id)
    expectations.complete = expectations.complete and again.complete
    grace = replace(grace, max_hold_untils=grace.max_hold_untils | again.max_hold_untils)
    first = {one.hold_id: one.fault for one in suspects}
    return [one for one in _classify_all(first, statuses, again, grace) if one.fault is first[one.hold_id]]


def _hold_ref(one: Discrepancy) -> HoldRef:
    """Where to look for a hold."""
    if one.status is not None:
        return HoldRef(one.hold_id, one.status.bucket, one.status.quantity, one.status.expires_at or 0)
    assert one.expected is not None
    assert one.expected.hold is not None
    return one.expected.hold


def _drop_mismatches(
    context: CheckoutContext, result: DropAudit, record: DropWithPlan, last_updated_at: Instant, grace: GracePeriod
) -> Collection[str]:
    """A plan that nobody carries out, and a summary that is behind although nothing has happened for a minute."""
    descriptions = []
    if record.plan is not None and not grace.is_recent(record.changed_at):
        descriptions.append(f"stock plan {record.plan.number} of {record.plan.quantity} units was not carried out")
    has_recent_holds = any(
        one.expires_at is not None and grace.is_recent_hold(one) for _, one in result.stock.hold_statuses
    )
    quiet = (
        result.complete
        and not has_recent_holds
        and not grace.is_recent(last_updated_at)
        and not grace.is_recent(record.changed_at)
    )
    if quiet and _summary_is_stale(result.stock, grace):
        again = context.stock.audit(record.drop.pool, record.drop.stock, grace.now, record.plan)
        if _summary_is_stale(again, grace):
            descriptions.append("the live summary is not what the buckets add up to, and nothing changed for a minute")
    return descriptions


def _summary_is_stale(stock: StockAudit, grace: GracePeriod) -> bool:
    live = stock.stored_summary
    if live is None:
        return True
    if grace.is_recent(live.as_of) or has_expired_hold(live, grace.now):
        return False
    return unit_totals(live) != unit_totals(stock)
