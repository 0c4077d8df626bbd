"""Audit a drop: compare every unit with the purchases, and report what does not match. The audit writes nothing.

Reading at two instants raises no false alarm:

- Buckets are read before purchases. A unit is committed, or held for longer than a minute, only after its purchase was
  written.
- A purchase written within the last minute is not compared. Every other one was read as it was when the audit began.
- A fault of a hold counts only if a second strong reading of the bucket, and of the purchases of all shows, has it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chalicelib.errors import WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext
from chalicelib.recovery.discrepancies import Discrepancy, DropAudit, unit_totals
from chalicelib.recovery.expectations import Expectations, TimeBudget, read_again, read_expectations
from chalicelib.recovery.expected_holds import GracePeriod, HoldFault, classify
from chalicelib.recovery.limit_audit import audit_limits
from chalicelib.shows import Drop, DropWithPlan, drop_not_found
from chalicelib.stock import HoldStatus, StockAudit, has_expired_hold
from chalicelib.telemetry import count, logger

_MAX_TRIES = 10


def audit_drop(
    context: CheckoutContext, drop_id: str, now: Instant, time_is_up: TimeBudget, *, purchases: bool = True
) -> DropAudit:
    """Compare a drop's buckets with its record, its purchases and its summary.

    Costs 1 RCU a bucket, and a scan of the whole commerce table (1 RCU for each 4 KB of it). The scan ends early, with
    ``complete`` False, when ``time_is_up`` returns True. Without ``purchases`` only the buckets are compared. Each
    suspected fault is read again: 1 RCU a bucket and a purchase of it, and the scan once more where no purchase names
    the units.

    Raises:
        NotFound: there is no such drop.
        WriteConflict: the drop was changed again and again meanwhile.
    """
    record, stock = _read_drop_and_buckets(context, drop_id, now)
    drop = record.drop
    if not purchases:
        return DropAudit(drop, now, stock, record.plan, complete=False, mismatches=stock.mismatches)
    statuses = dict(stock.hold_statuses)
    expectations = read_expectations(context, drop, statuses.values(), time_is_up)
    grace = GracePeriod(now, drop.hold_seconds, record.changed_at, frozenset(expectations.max_hold_untils))
    suspects = _classify_all(statuses.keys() | expectations.by_hold.keys(), statuses, expectations, grace)
    discrepancies, complete = _confirm(context, drop, suspects, grace, time_is_up)
    complete = complete and expectations.complete
    limit_discrepancies = audit_limits(expectations.limit_records, expectations.limited_orders, now, complete=complete)
    _report_missing_paid_units(drop, discrepancies)
    mismatches = [
        *stock.mismatches,
        *(found.description for found in discrepancies if found.description is not None),
        *(found.description for found in limit_discrepancies),
        *_plan_mismatches(record, grace),
    ]
    if complete and _is_quiet(record, stock, expectations, grace):
        mismatches += _summary_mismatches(context, record, stock, grace)
    owners = {hold_id: expectations.expected_for(hold_id, status) for hold_id, status in statuses.items()}
    return DropAudit(
        drop,
        now,
        stock,
        record.plan,
        complete,
        purchases=expectations.purchases,
        owners={hold_id: expected for hold_id, expected in owners.items() if expected is not None},
        discrepancies=discrepancies,
        buyers=len(expectations.limit_records),
        limit_discrepancies=limit_discrepancies,
        mismatches=tuple(mismatches),
    )


def _read_drop_and_buckets(context: CheckoutContext, drop_id: str, now: Instant) -> tuple[DropWithPlan, StockAudit]:
    """Read the record and the buckets until the record is the same before and after: a plan changes both."""
    record = context.shows.drop_with_plan(drop_id)
    for _ in range(_MAX_TRIES):
        if record is None:
            raise drop_not_found()
        counted = context.stock.audit(record.drop.pool, record.drop.stock, now, record.plan)
        after = context.shows.drop_with_plan(drop_id)
        if after == record or not counted.mismatches:
            return record, counted
        record = after
    raise WriteConflict("Other requests keep changing this drop; retry later.")


def _classify_all(
    holds: Iterable[str], statuses: dict[str, HoldStatus], expectations: Expectations, grace: GracePeriod
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
    context: CheckoutContext, drop: Drop, suspects: list[Discrepancy], grace: GracePeriod, time_is_up: TimeBudget
) -> tuple[list[Discrepancy], bool]:
    """Return the suspects that a second reading of both sides confirms, and whether there was time for all of it."""
    if not suspects:
        return [], True
    refs = [(drop.pool, suspect.hold_ref) for suspect in suspects]
    read = zip(suspects, context.stock.get_hold_statuses(refs), strict=True)
    statuses = {suspect.hold_id: status for suspect, status in read if status is not None}
    expectations = Expectations()
    if any(suspect.expected is None and suspect.hold_id in statuses for suspect in suspects):
        expectations = read_expectations(context, drop, statuses.values(), time_is_up, all_shows=True)
    purchase_ids = {suspect.expected.purchase_id for suspect in suspects if suspect.expected is not None}
    read_again(context, drop, sorted(purchase_ids), time_is_up, expectations)
    grace = replace(grace, max_hold_untils=grace.max_hold_untils | expectations.max_hold_untils)
    first = {suspect.hold_id: suspect.fault for suspect in suspects}
    again = _classify_all(first, statuses, expectations, grace)
    return [found for found in again if found.fault is first[found.hold_id]], expectations.complete


def _report_missing_paid_units(drop: Drop, discrepancies: Iterable[Discrepancy]) -> None:
    """Raise an alarm for paid units that are gone: no repair can bring them back."""
    for found in discrepancies:
        if found.fault is HoldFault.PAID_GONE and found.expected is not None:
            count("paid_units_missing", found.expected.min_units - (found.status.quantity if found.status else 0))
            extra = {"drop": drop.id, "hold": found.hold_id, "purchase": log_reference(found.expected.purchase_id)}
            logger.error("units of a paid order are gone", extra=extra)


def _plan_mismatches(record: DropWithPlan, grace: GracePeriod) -> list[str]:
    if record.plan is None or grace.is_recent(record.changed_at):
        return []
    return [f"stock plan {record.plan.number} of {record.plan.quantity} units was not carried out"]


def _is_quiet(record: DropWithPlan, stock: StockAudit, expectations: Expectations, grace: GracePeriod) -> bool:
    """Return whether nothing of the drop has changed for a minute."""
    has_recent_holds = any(
        status.expires_at is not None and grace.is_recent_hold(status) for _, status in stock.hold_statuses
    )
    return not (has_recent_holds or grace.is_recent(expectations.last_updated_at) or grace.is_recent(record.changed_at))


def _summary_mismatches(
    context: CheckoutContext, record: DropWithPlan, stock: StockAudit, grace: GracePeriod
) -> list[str]:
    """Report a summary that differs from the buckets in two readings, although the drop is quiet."""
    if not _summary_is_stale(stock, grace):
        return []
    again = context.stock.audit(record.drop.pool, record.drop.stock, grace.now, record.plan)
    if not _summary_is_stale(again, grace):
        return []
    return ["the live summary is not what the buckets add up to, and nothing changed for a minute"]


def _summary_is_stale(stock: StockAudit, grace: GracePeriod) -> bool:
    live = stock.stored_summary
    if live is None:
        return True
    if grace.is_recent(live.as_of) or has_expired_hold(live, grace.now):
        return False
    return unit_totals(live) != unit_totals(stock)
