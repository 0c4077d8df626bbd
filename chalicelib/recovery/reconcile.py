"""Reconcile: what the provider has is compared with our orders; what lost webhooks and messages left open is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.errors import Conflict, Unavailable, WriteConflict
from chalicelib.ids import order_id
from chalicelib.instants import Instant
from chalicelib.payments import ActionRequired, Authorised, Captured, ProviderPayment
from chalicelib.purchase import SETTLE_PERIOD, CheckoutContext, Purchase, PurchaseState, completed_refunds
from chalicelib.refunds import record_external_refund
from chalicelib.telemetry import count, logger

_IN_PROGRESS = frozenset({PurchaseState.PLACED, PurchaseState.AWAITING_BUYER, PurchaseState.ON_HOLD})


class Difference(StrEnum):
    """What does not match and nobody here can mend."""

    NO_ORDER = "no_order"
    """The provider holds or took money for a purchase that there is not."""
    CAPTURED = "captured_without_order"
    """Money was taken, and its purchase is not paid by it."""
    AMOUNT = "amount"
    """Another amount or currency was taken than the order has."""
    REFUND = "refund"
    """A refund stands on one side only, or with another amount."""
    MISSING = "missing_at_provider"
    """An order is paid, and the provider does not have its payment."""


@dataclass(slots=True)
class ReconciliationReport:
    """What was compared and mended. ``differences`` are (what, payment, order) and are for people."""

    payments: int = 0
    orders: int = 0
    enqueued: int = 0
    """Attempts that the capture worker was told of again: it goes on with them, or voids what is left over."""
    refunds_recorded: int = 0
    differences: list[tuple[str, str, str]] = field(default_factory=list)


def reconcile_payments(
    context: CheckoutContext, enqueue_capture: Callable[[str, int], None], since: Instant, now: Instant
) -> ReconciliationReport:
    """Compare every payment begun since then, and every order paid since then. Safe to repeat, and beside a sale.

    Costs the provider's list, a read for each payment, and a scan of the commerce table.
    """
    report, seen = ReconciliationReport(), set[str]()
    for payment in context.gateway.payments(since):
        report.payments += 1
        seen.add(payment.provider_id)
        _compare(context, payment, enqueue_capture, report, now)
    for purchase in context.purchases.scan():
        if purchase.state is not PurchaseState.PAID or (purchase.placed_at or purchase.created_at) < since:
            continue
        report.orders += 1
        paid_by = purchase.payment.provider_id if purchase.payment else None
        if (
            purchase.totals.total
            and purchase.payment
            and purchase.payment.provider == context.gateway.name
            and paid_by not in seen
        ):
            _report_difference(report, Difference.MISSING, paid_by or "", purchase)
    if report.differences:
        count("payment_differences", len(report.differences))
    return report


def _compare(
    context: CheckoutContext,
    payment: ProviderPayment,
    enqueue_capture: Callable[[str, int], None],
    report: ReconciliationReport,
    now: Instant,
) -> None:
    purchase = context.purchases.read(payment.purchase_id) if payment.purchase_id else None
    holds_money = isinstance(payment.status, Authorised | ActionRequired | Captured)
    if not holds_money:
        return
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
    if (payment.amount, payment.currency) != (purchase.totals.total, purchase.currency):
        _report_difference(report, Difference.AMOUNT, payment.provider_id, purchase)
    by_refund_id = {f"{purchase.id}-{one.id}": one for one in purchase.refunds}
    by_provider = {one.provider_id: one for one in purchase.refunds if one.provider_id}
    for provider_refund in payment.refunds:
        known = by_provider.get(provider_refund.provider_refund_id) or by_refund_id.get(provider_refund.refund_id or "")
        if known is not None:
            if known.amount != provider_refund.amount or known.failure_code is not None:
                _report_difference(report, Difference.REFUND, provider_refund.provider_refund_id, purchase)
            continue
        try:
            report.refunds_recorded += record_external_refund(
                context,
                purchase.id,
                provider_refund.provider_refund_id,
                provider_refund.amount,
                provider_refund.refund_id,
                now,
            )
        except Conflict:
            _report_difference(report, Difference.REFUND, provider_refund.provider_refund_id, purchase)
        except (WriteConflict, Unavailable) as error:
            logger.warning(
                "not recorded; the next comparison does",
                extra={"refund": provider_refund.provider_refund_id, "reason": error.code},
            )
    at_provider = {made.provider_refund_id for made in payment.refunds}
    for one in completed_refunds(purchase):
        if (
            one.completed_at is not None
            and one.amount
            and one.provider_id not in at_provider
            and now - one.completed_at > SETTLE_PERIOD
        ):
            _report_difference(report, Difference.REFUND, one.provider_id or "", purchase)


def _report_difference(
    report: ReconciliationReport, difference: Difference, payment: str, purchase: Purchase | None
) -> None:
    order = order_id(purchase.id) if purchase else ""
    report.differences.append((difference.value, payment, order))
    logger.error("payments and orders differ", extra={"difference": difference.value, "payment": payment})
