"""Mending what an audit found, beside a running sale: each step is one conditional write that may come twice or late.

Why each step harms nobody, whoever else is at work on the same units:

- *unnamed*: freed only if the hold is, whole, as it was seen. Whoever took it died more than a minute ago. Its client
  may ask again meanwhile and be shown this hold: its purchase then names a hold that is gone, and completing it takes
  units anew or ends in ``out_of_stock``, as after any lapse. It is removed, not marked dead: the repeat may take anew.
- *given up*, *no order*: a purchase that is cancelled stays so, and one that has stopped naming a hold never names it
  again (a hold's id holds the version that took it). Freed as seen, with a dead mark where an order had it: a doubled
  worker's late sell then meets no hold, and a late take cannot bring one back for it to sell.
- *sold to open*: held again at the purchase's present epoch until its hold ends. When the buyer completes meanwhile,
  the freeze has raised the epoch: its sell supersedes this write, or this write is refused by the later epoch. A late
  sell of the attempt that ended is refused from here on.
- *surplus*: the hold shrinks to what the purchase claims, or sold units go back, if it has the quantity that was seen.
- *unsold*: the capture worker is told again; it may be told twice.
- *paid, unsold*: sold to the order again; where a hold stands at the very epoch, the epoch is raised in the purchase
  first, over exactly the version that was read, as the capture worker does it. Whoever dies in between leaves units
  sold at an earlier epoch, which the next repair sells again.
- *paid, gone*, and *foreign* ones: not mended. The audit has told them; paid ones by a metric and an error in the log.
- *miscounts* of limits: the sum is written anew, and entries of purchases that do not exist leave, over exactly the
  entries that were seen. What a purchase that was freed here still counts for its buyer is forgotten as any dead entry
  is, by the completion that needs the room. A unit that nobody counts, or one too many, is told and let be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from chalicelib.errors import LivedropError
from chalicelib.instants import SECOND, Instant
from chalicelib.purchase import (
    CheckoutContext,
    EnqueueCapture,
    PurchaseState,
    Refused,
    Written,
    next_version,
    order_ref_of,
    pool_of,
)
from chalicelib.recovery.audit import TimeBudget, audit_drop
from chalicelib.recovery.discrepancies import Discrepancy, DropAudit
from chalicelib.recovery.expected_holds import ExpectedHold, HoldFault, expected_holds_of
from chalicelib.recovery.limit_audit import LimitDiscrepancy, without_orphans
from chalicelib.stock import Committed, HoldRef, HoldStatus, Pool, RevertedToHold
from chalicelib.telemetry import logger

_ORPHANS = frozenset({HoldFault.UNNAMED, HoldFault.NO_ORDER, HoldFault.GIVEN_UP})
_NOT_REPAIRABLE = frozenset({HoldFault.PAID_GONE, HoldFault.FOREIGN})


@dataclass(slots=True)
class RepairReport:
    """What a repair did. ``left`` was changed by others meanwhile, or not reached in time: look again.

    ``not_mended`` is for people: paid units that are gone, units under another's name, limits that did not hold.
    """

    plan_finished: bool = False
    summary_refreshed: bool = False
    freed: int = 0
    held_again: int = 0
    shrunk: int = 0
    sold_again: int = 0
    enqueued: int = 0
    counted_anew: int = 0
    not_mended: int = 0
    left: int = 0


def repair_stock(
    context: CheckoutContext, drop_id: str, enqueue_capture: EnqueueCapture, now: Instant, time_is_up: TimeBudget
) -> tuple[DropAudit, RepairReport]:
    """Audit a drop and mend what was found. Safe at any time, twice, or beside a sale.

    ``NotFound``. Costs an audit, 1 WCU a hold, and 1 RCU a bucket for a fresh summary; ends early when ``enough`` says
    so. The audit says what was found before; ask for another to see what is left.
    """
    record = context.shows.drop_with_plan(drop_id)
    had_plan = record is not None and record.plan is not None
    if had_plan:
        context.shows.finish_pending_plan(drop_id, now)
    audit_ = audit_drop(context, drop_id, now, time_is_up)
    repair = _DropRepair(context, audit_.drop.pool, enqueue_capture, now, RepairReport(plan_finished=had_plan))
    steps: list[tuple[str, Callable[[], bool]]] = [
        (one.fault, partial(repair.repair_hold, one)) for one in audit_.discrepancies
    ]
    steps += [(one.fault, partial(repair.repair_limit, one)) for one in audit_.limit_discrepancies]
    for fault, step in steps:
        try:
            done = not time_is_up() and step()
        except LivedropError as error:
            logger.warning("not repaired", extra={"drop": drop_id, "fault": fault, "reason": error.code})
            done = False
        repair.report.left += not done
    live, fresh = audit_.stock.stored_summary, context.stock.refresh(audit_.drop.pool, now)
    repair.report.summary_refreshed = live is None or replace(fresh, as_of=live.as_of) != live
    logger.info("drop repaired", extra={"drop": drop_id, "found": len(steps), "left": repair.report.left})
    return audit_, repair.report


@dataclass(slots=True)
class _DropRepair:
    """One repair of one drop. Each step answers False when others changed what it was to mend."""

    context: CheckoutContext
    pool: Pool
    enqueue_capture: EnqueueCapture
    now: Instant
    report: RepairReport
    repaired_purchases: set[str] = field(default_factory=set)
    """Purchases of which all holds were mended with the first."""

    def repair_hold(self, discrepancy: Discrepancy) -> bool:
        status, expected = discrepancy.status, discrepancy.expected
        if discrepancy.fault is HoldFault.GONE:
            return True  # its buyer takes anew, or is told so, when completing
        if discrepancy.fault in _NOT_REPAIRABLE:
            self.report.not_mended += 1
            return True
        if status is not None and discrepancy.fault in _ORPHANS:
            freed = self.context.stock.release_orphan(self.pool, discrepancy.hold_id, status)
            self.report.freed += freed
            return freed
        assert expected is not None
        if discrepancy.fault in {HoldFault.UNSOLD, HoldFault.PAID_UNSOLD}:
            return self._repair_purchase(discrepancy.fault, expected)
        assert status is not None
        ref = _ref(discrepancy.hold_id, status)
        return (
            self._revert_to_hold(ref, expected)
            if discrepancy.fault is HoldFault.SOLD_TO_OPEN
            else self._shrink(ref, expected)
        )

    def repair_limit(self, discrepancy: LimitDiscrepancy) -> bool:
        if not discrepancy.is_repairable:
            self.report.not_mended += 1
            return True
        record = discrepancy.record
        orphans = set(discrepancy.purchases) - self.context.purchases.read_all(discrepancy.purchases).keys()
        kept = without_orphans(record.usage, orphans)
        limits, at = self.context.limits, self.now // SECOND
        answer = limits.compare_and_set(record.buyer, self.pool.pool_id, record.usage, kept, at)
        counted = isinstance(answer, Written)
        self.report.counted_anew += counted
        return counted

    def _repair_purchase(self, fault: HoldFault, expected: ExpectedHold) -> bool:
        if expected.purchase_id in self.repaired_purchases:
            return True
        self.repaired_purchases.add(expected.purchase_id)
        if fault is HoldFault.UNSOLD:
            self.enqueue_capture(expected.purchase_id, expected.attempt)
            self.report.enqueued += 1
            return True
        committed = _recommit_stock(self.context, expected.purchase_id, self.now)
        self.report.sold_again += committed
        return committed

    def _revert_to_hold(self, ref: HoldRef, expected: ExpectedHold) -> bool:
        assert expected.hold is not None
        expires_at = max(expected.hold.expires_at, self.now // SECOND)
        reverted = isinstance(
            self.context.stock.revert_to_hold(self.pool, ref, expected.order, expires_at), RevertedToHold
        )
        self.report.held_again += reverted
        return reverted

    def _shrink(self, ref: HoldRef, expected: ExpectedHold) -> bool:
        if expected.state is PurchaseState.PAID:
            shrunk = self.context.stock.restock(self.pool, ref, expected.order, ref.quantity, expected.max_units)
        else:
            shrunk = self.context.stock.shrink(self.pool, ref, expected.max_units)
        self.report.shrunk += shrunk
        return shrunk


def _ref(hold_id: str, status: HoldStatus) -> HoldRef:
    return HoldRef(hold_id, status.bucket, status.quantity, status.expires_at or 0)


def _recommit_stock(context: CheckoutContext, purchase_id: str, now: Instant) -> bool:
    """Sell all units of a paid order to it. An order's units have one epoch: all of them are sold at the raised one."""
    purchase = context.purchases.read(purchase_id)
    if purchase is None or purchase.state is not PurchaseState.PAID:
        return False
    expected_holds = [
        (pool_of(line), expected) for line in purchase.lines for expected in expected_holds_of(purchase, line.drop_id)
    ]
    holds = [(pool, claim.hold, claim) for pool, claim in expected_holds if claim.hold is not None and claim.max_units]
    statuses = context.stock.get_hold_statuses([(layout, hold) for layout, hold, _ in holds])
    order = order_ref_of(purchase)
    if any(one is not None and one.expires_at is not None and one.order == str(order) for one in statuses):
        next_epoch = next_version(purchase, now, epoch=purchase.epoch + 1)
        if isinstance(context.purchases.replace(next_epoch), Refused):
            return False
        order = order_ref_of(next_epoch)
    all_committed = True
    for (layout, hold, claim), status in zip(holds, statuses, strict=True):
        if status is None or status.quantity < claim.min_units:
            continue  # gone: told as such
        units = min(claim.max_units, status.quantity)  # a refund that is not done may have given units back
        answer = context.stock.commit(layout, _ref(hold.id, status), units, order)
        all_committed = all_committed and isinstance(answer, Committed)
    return all_committed
