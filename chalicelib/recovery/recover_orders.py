"""Recover orders whose queue message was lost, and finish refunds and stock plans that stopped halfway."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.errors import LivedropError
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.purchase import SETTLE_PERIOD, CheckoutContext, EnqueueCapture, Purchase, PurchaseState
from chalicelib.refunds import finish_refunds
from chalicelib.telemetry import logger, report_broken_invariant


@dataclass(slots=True)
class RecoveryReport:
    """How many purchases were read, how many attempts enqueued, refunds and plans finished, and how much failed."""

    purchases: int = 0
    enqueued: int = 0
    refunds_finished: int = 0
    plans_finished: int = 0
    failed: int = 0


def recover_lost_orders(context: CheckoutContext, enqueue_capture: EnqueueCapture, now: Instant) -> RecoveryReport:
    """Enqueue overdue orders again; finish refunds and stock plans that stopped halfway.

    Safe to run at any time, twice, or beside a sale. Costs two scans of the commerce table (1 RCU for each 4 KB).
    """
    report = RecoveryReport()
    for purchase in context.purchases.scan():
        report.purchases += 1
        try:
            _recover_order(context, purchase, enqueue_capture, report, now)
        except Exception as error:  # one order must not keep the others from recovery
            report.failed += 1
            report_broken_invariant(error)
            extra = {"purchase": log_reference(purchase.id), "reason": str(error)}
            is_expected = isinstance(error, LivedropError)
            logger.warning("order not recovered", extra=extra, exc_info=None if is_expected else error)
    for drop_id in context.shows.drops_with_pending_plan():
        try:
            context.shows.finish_pending_plan(drop_id, now)
            report.plans_finished += 1
        except LivedropError as error:
            report.failed += 1
            report_broken_invariant(error)
            logger.warning("stock plan not finished", extra={"drop": drop_id, "reason": error.code})
    return report


def _recover_order(
    context: CheckoutContext,
    purchase: Purchase,
    enqueue_capture: EnqueueCapture,
    report: RecoveryReport,
    now: Instant,
) -> None:
    if _is_overdue(purchase, now):
        enqueue_capture(purchase.id, purchase.attempt)
        report.enqueued += 1
    unfinished = (refund for refund in purchase.refunds if refund.is_pending or refund.is_restock_due)
    if any(now - (refund.completed_at or refund.requested_at) > SETTLE_PERIOD for refund in unfinished):
        finish_refunds(context, purchase, now)
        report.refunds_finished += 1


def _is_overdue(purchase: Purchase, now: Instant) -> bool:
    """Return whether a purchase has been in its state for longer than it would be with its message delivered."""
    if purchase.state is PurchaseState.PLACED:
        return purchase.placed_at is not None and now - purchase.placed_at > SETTLE_PERIOD
    deadline = purchase.payment.deadline if purchase.payment else None
    return (
        purchase.state in {PurchaseState.AWAITING_BUYER, PurchaseState.ON_HOLD}
        and deadline is not None
        and now - deadline > SETTLE_PERIOD
    )
