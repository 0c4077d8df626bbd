"""Repair what an audit of a drop found, beside a running sale. Each step is one conditional write, safe to repeat.

Why no step harms another process that works on the same units:

- *unnamed*: the hold is released only if it is exactly as the audit saw it. The process that took it died more than a
  minute ago. Its client may repeat the request meanwhile and be shown this hold. Its purchase then names a hold that is
  gone; to complete it takes units again or answers ``out_of_stock``, as after any expiry. The hold gets no tombstone,
  so that the repeated request may take it again.
- *given up*, *no order*: a cancelled purchase stays cancelled. A purchase that has stopped naming a hold never names it
  again, because the hold's id contains the version that took it. The hold is released as seen, with a tombstone where
  an order had it. A doubled worker's late commit then finds no hold, and a late take cannot bring one back for it.
- *sold to open*: the units are reverted to a hold at the purchase's present epoch, until that hold ends. If the buyer
  completes meanwhile, placing the order has raised the epoch. Its commit then supersedes this write, or this write is
  refused by the later epoch. A late commit of the attempt that ended is refused from here on.
- *surplus*: the hold shrinks to what the purchase expects, or committed units are restocked, if it has the quantity
  that the audit saw.
- *unsold*: the attempt is enqueued for the capture worker again, which may receive it twice.
- *paid, unsold*: the units are committed to the order again, as the capture worker does it.
- *paid, gone* and *foreign*: not repaired. The audit reports them; paid units also by a metric and an error in the log.
- *limits*: a wrong sum is written again, and entries of purchases that do not exist are removed, over exactly the
  entries that the audit saw. The entry of a purchase whose units were released here is removed as any dead entry is: by
  the next completion that needs the room. Units that count for no buyer, or exceed the limit, are only reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from chalicelib.capture import HoldToCommit, commit_hold, with_committable_epoch
from chalicelib.errors import LivedropError
from chalicelib.instants import SECOND, Instant
from chalicelib.purchase import CheckoutContext, EnqueueCapture, Purchase, PurchaseState, Written, order_ref_of, pool_of
from chalicelib.recovery.audit import audit_drop
from chalicelib.recovery.discrepancies import Discrepancy, DropAudit, hold_ref
from chalicelib.recovery.expectations import TimeBudget
from chalicelib.recovery.expected_holds import ExpectedHold, HoldFault, expected_holds_of
from chalicelib.recovery.limit_audit import LimitDiscrepancy, without_orphans
from chalicelib.stock import Committed, Pool, RevertedToHold
from chalicelib.telemetry import logger, report_broken_invariant


@dataclass(slots=True)
class RepairReport:
    """The result of a repair.

    ``remaining``: changed by others meanwhile, or not reached in time; audit again. ``not_repaired`` needs a person:
    paid units that are gone, units under another order's name, limits that did not hold.
    """

    plan_finished: bool = False
    summary_refreshed: bool = False
    released: int = 0
    reverted: int = 0
    shrunk: int = 0
    recommitted: int = 0
    enqueued: int = 0
    recounted: int = 0
    not_repaired: int = 0
    remaining: int = 0


def repair_stock(
    context: CheckoutContext, drop_id: str, enqueue_capture: EnqueueCapture, now: Instant, time_is_up: TimeBudget
) -> tuple[DropAudit, RepairReport]:
    """Audit a drop and repair what the audit found. Safe at any time, twice, or beside a sale.

    The returned audit is the one before the repair. Costs that audit, 1 WCU a hold, and 1 RCU a bucket for a fresh
    summary. Ends early when ``time_is_up`` returns True.

    Raises:
        NotFound: there is no such drop.
    """
    record = context.shows.drop_with_plan(drop_id)
    had_plan = record is not None and record.plan is not None
    if had_plan:
        context.shows.finish_pending_plan(drop_id, now)
    audit = audit_drop(context, drop_id, now, time_is_up)
    repair = _DropRepair(context, audit.drop.pool, enqueue_capture, now, RepairReport(plan_finished=had_plan))
    steps: list[tuple[str, Callable[[], bool]]] = [
        *((found.fault, partial(repair.repair_hold, found)) for found in audit.discrepancies),
        *((found.fault, partial(repair.repair_limit, found)) for found in audit.limit_discrepancies),
    ]
    for fault, step in steps:
        try:
            done = not time_is_up() and step()
        except LivedropError as error:
            report_broken_invariant(error)
            logger.warning("fault not repaired", extra={"drop": drop_id, "fault": fault, "reason": error.code})
            done = False
        repair.report.remaining += not done
    stored, fresh = audit.stock.stored_summary, context.stock.refresh(audit.drop.pool, now)
    repair.report.summary_refreshed = stored is None or replace(fresh, as_of=stored.as_of) != stored
    logger.info("drop repaired", extra={"drop": drop_id, "found": len(steps), "remaining": repair.report.remaining})
    return audit, repair.report


@dataclass(slots=True)
class _DropRepair:
    """One repair of one drop. Each step returns False when others have changed what it was to repair."""

    context: CheckoutContext
    pool: Pool
    enqueue_capture: EnqueueCapture
    now: Instant
    report: RepairReport
    repaired_purchases: set[str] = field(default_factory=set)
    """Purchases whose holds were all repaired together with the first."""

    def repair_hold(self, found: Discrepancy) -> bool:
        match found.fault:
            case HoldFault.UNNAMED | HoldFault.NO_ORDER | HoldFault.GIVEN_UP:
                return self._release(found)
            case HoldFault.SOLD_TO_OPEN:
                return self._revert_to_hold(found)
            case HoldFault.SURPLUS:
                return self._shrink(found)
            case HoldFault.UNSOLD:
                return self._once_a_purchase(found, self._enqueue)
            case HoldFault.PAID_UNSOLD:
                return self._once_a_purchase(found, self._recommit)
            case HoldFault.GONE:
                return True  # to complete the purchase takes units again, or answers that there are none
            case HoldFault.PAID_GONE | HoldFault.FOREIGN:
                self.report.not_repaired += 1
                return True

    def repair_limit(self, found: LimitDiscrepancy) -> bool:
        if not found.is_repairable:
            self.report.not_repaired += 1
            return True
        record = found.record
        orphans = set(found.purchases) - self.context.purchases.read_all(found.purchases).keys()
        usage = without_orphans(record.usage, orphans)
        limits, at = self.context.limits, self.now // SECOND
        result = limits.compare_and_set(record.buyer, self.pool.pool_id, record.usage, usage, at)
        done = isinstance(result, Written)
        self.report.recounted += done
        return done

    def _release(self, found: Discrepancy) -> bool:
        assert found.status is not None
        done = self.context.stock.release_orphan(self.pool, found.hold_id, found.status)
        self.report.released += done
        return done

    def _revert_to_hold(self, found: Discrepancy) -> bool:
        expected = found.expected
        assert expected is not None
        assert expected.hold is not None
        expires_at = max(expected.hold.expires_at, self.now // SECOND)
        result = self.context.stock.revert_to_hold(self.pool, found.hold_ref, expected.order, expires_at)
        done = isinstance(result, RevertedToHold)
        self.report.reverted += done
        return done

    def _shrink(self, found: Discrepancy) -> bool:
        ref, expected = found.hold_ref, found.expected
        assert expected is not None
        if expected.state is PurchaseState.PAID:
            done = self.context.stock.restock(self.pool, ref, expected.order, ref.quantity, expected.max_units)
        else:
            done = self.context.stock.shrink(self.pool, ref, expected.max_units)
        self.report.shrunk += done
        return done

    def _once_a_purchase(self, found: Discrepancy, repair_purchase: Callable[[ExpectedHold], bool]) -> bool:
        expected = found.expected
        assert expected is not None
        if expected.purchase_id in self.repaired_purchases:
            return True
        self.repaired_purchases.add(expected.purchase_id)
        return repair_purchase(expected)

    def _enqueue(self, expected: ExpectedHold) -> bool:
        self.enqueue_capture(expected.purchase_id, expected.attempt)
        self.report.enqueued += 1
        return True

    def _recommit(self, expected: ExpectedHold) -> bool:
        """Commit the holds of a paid order again, each by itself: units that are gone must not cost it the others."""
        purchase = self.context.purchases.read(expected.purchase_id)
        if purchase is None or purchase.state is not PurchaseState.PAID:
            return False
        holds = _holds_to_recommit(self.context, purchase)
        purchase = with_committable_epoch(self.context, purchase, holds, self.now)
        order = order_ref_of(purchase)
        results = [commit_hold(self.context, order, wanted) for wanted in holds]
        done = all(isinstance(result, Committed) for result in results)
        self.report.recommitted += done
        return done


def _holds_to_recommit(context: CheckoutContext, purchase: Purchase) -> list[HoldToCommit]:
    """Return a paid order's holds of all drops, with the units that each still has. Holds that are gone are left out.

    All drops, because an order's units have one epoch. While a refund with restock is under way, a hold may have any
    number of units between ``min_units`` and ``max_units``.
    """
    named = [
        (pool_of(line), expected.hold, expected)
        for line in purchase.lines
        for expected in expected_holds_of(purchase, line.drop_id)
        if expected.hold is not None and expected.max_units
    ]
    statuses = context.stock.get_hold_statuses([(pool, hold) for pool, hold, _ in named])
    return [
        HoldToCommit(pool, hold_ref(hold.id, status), min(expected.max_units, status.quantity), status)
        for (pool, hold, expected), status in zip(named, statuses, strict=True)
        if status is not None and status.quantity >= expected.min_units
    ]
