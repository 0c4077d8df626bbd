"""Reconcile the provider's payments with orders: go on with what lost messages left open, and report the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.errors import Conflict, InvariantBroken, Unavailable
from chalicelib.ids import order_id
from chalicelib.instants import Instant
from chalicelib.payments import ActionRequired, Authorised, Captured, ProviderPayment, RefundStatus
from chalicelib.purchase import (
    SETTLE_PERIOD,
    CheckoutContext,
    EnqueueCapture,
    Purchase,
    PurchaseState,
    Refund,
    completed_refunds,
)
from chalicelib.refunds import record_provider_refund
from chalicelib.telemetry import count, logger, report_broken_invariant

_IN_PROGRESS = frozenset({PurchaseState.PLACED, PurchaseState.AWAITING_BUYER, PurchaseState.ON_HOLD})


class Difference(StrEnum):
    """A difference between provider and orders that only a person can settle."""

    NO_ORDER = "no_order"
    """The provider has reserved or captured money for a purchase that does not exist."""
    CAPTURED = "captured_without_order"
    """Money was captured, and its purchase is not paid by it."""
    AMOUNT = "amount"
    """The captured amount or currency is not the order's."""
    REFUND = "refund"
    """Only one side has a refund, or the sides have different amounts."""
    MISSING = "missing_at_provider"
    """An order is paid, and the provider does not have its payment."""


@dataclass(slots=True)
class ReconciliationReport:
    """The result of a reconciliation. Each of ``differences`` is a kind, a payment and an order."""

    payments: int = 0
    orders: int = 0
    enqueued: int = 0
    """Attempts enqueued again: the capture worker goes on with them, or voids an orphaned authorisation."""
    refunds_recorded: int = 0
    differences: list[tuple[str, str, str]] = field(default_factory=list)


def reconcile_payments(
    context: CheckoutContext, enqueue_capture: EnqueueCapture, since: Instant, now: Instant
) -> ReconciliationReport:
    """Compare each payment that began at or after ``since``, and each paid order that was placed then.

    Safe to repeat, and beside a sale. Costs the provider's list, a read for each payment that has or reserves money,
    and a scan of the commerce table.
    """
    report, at_provider = ReconciliationReport(), set[str]()
    for payment in context.gateway.payments(since):
        report.payments += 1
        at_provider.add(payment.provider_id)
        _compare_payment(context, payment, enqueue_capture, report, now)
    for purchase in context.purchases.scan():
        if purchase.state is PurchaseState.PAID and (purchase.placed_at or purchase.created_at) >= since:
            report.orders += 1
            _check_payment_exists(context, purchase, at_provider, report)
    if report.differences:
        count("payment_differences", len(report.differences))
    return report


def _check_payment_exists(
    context: CheckoutContext, purchase: Purchase, at_provider: set[str], report: ReconciliationReport
) -> None:
    payment = purchase.payment
    if payment is None or not purchase.totals.total or payment.provider != context.gateway.name:
        return
    if payment.provider_id not in at_provider:
        _report_difference(report, Difference.MISSING, payment.provider_id or "", purchase)


def _compare_payment(
    context: CheckoutContext,
    payment: ProviderPayment,
    enqueue_capture: EnqueueCapture,
    report: ReconciliationReport,
    now: Instant,
) -> None:
    if not isinstance(payment.status, Authorised | ActionRequired | Captured):
        return
    purchase = context.purchases.read(payment.purchase_id) if payment.purchase_id else None
    if purchase is None or payment.attempt is None:
        _report_difference(report, Difference.NO_ORDER, payment.provider_id, None)
        return
    is_current_attempt = purchase.attempt == payment.attempt
    if is_current_attempt and purchase.state in _IN_PROGRESS:
        if purchase.state is PurchaseState.PLACED and now - purchase.updated_at > SETTLE_PERIOD:
            enqueue_capture(purchase.id, payment.attempt)
            report.enqueued += 1
    elif not isinstance(payment.status, Captured):
        enqueue_capture(purchase.id, payment.attempt)
        report.enqueued += 1
    elif not is_current_attempt or purchase.state is not PurchaseState.PAID:
        _report_difference(report, Difference.CAPTURED, payment.provider_id, purchase)
    else:
        _compare_order(context, payment, purchase, report, now)


def _compare_order(
    context: CheckoutContext, payment: ProviderPayment, purchase: Purchase, report: ReconciliationReport, now: Instant
) -> None:
    """Compare a captured payment with the order that it paid: amount, currency, and refunds."""
    if (payment.amount, payment.currency) != (purchase.totals.total, purchase.currency):
        _report_difference(report, Difference.AMOUNT, payment.provider_id, purchase)
    _compare_refunds_at_provider(context, payment, purchase, report, now)
    at_provider = {refund.provider_refund_id for refund in payment.refunds}
    for refund in completed_refunds(purchase):
        if refund.amount and refund.provider_id not in at_provider and not _is_recent(refund, now):
            _report_difference(report, Difference.REFUND, refund.provider_id or "", purchase)


def _is_recent(refund: Refund, now: Instant) -> bool:
    """Return whether the provider's list may have been read before the refund was made."""
    return refund.completed_at is not None and now - refund.completed_at <= SETTLE_PERIOD


def _compare_refunds_at_provider(
    context: CheckoutContext, payment: ProviderPayment, purchase: Purchase, report: ReconciliationReport, now: Instant
) -> None:
    """Record refunds as the provider has them now; report those that the order knows otherwise. One call a refund."""
    by_refund_id = {f"{purchase.id}-{refund.id}": refund for refund in purchase.refunds}
    by_provider_id = {refund.provider_id: refund for refund in purchase.refunds if refund.provider_id}
    for listed in payment.refunds:
        made = context.gateway.find_refund(listed.provider_refund_id, now=now)
        if made is None:
            continue
        known = by_provider_id.get(made.provider_refund_id) or by_refund_id.get(made.refund_id or "")
        is_failed = made.status is RefundStatus.FAILED
        if known is not None and (known.amount != made.amount or (known.failure_code is not None and not is_failed)):
            _report_difference(report, Difference.REFUND, made.provider_refund_id, purchase)
            continue
        try:
            report.refunds_recorded += record_provider_refund(context, purchase.id, made, now)
        except Conflict:
            _report_difference(report, Difference.REFUND, made.provider_refund_id, purchase)
        except (Unavailable, InvariantBroken) as error:  # the next comparison tries again; the other payments go on
            report_broken_invariant(error)
            extra = {"refund": made.provider_refund_id, "reason": error.code}
            logger.warning("external refund not recorded", extra=extra)


def _report_difference(
    report: ReconciliationReport, difference: Difference, payment: str, purchase: Purchase | None
) -> None:
    order = order_id(purchase.id) if purchase else ""
    report.differences.append((difference.value, payment, order))
    logger.error("payment and order differ", extra={"difference": difference.value, "payment": payment})
