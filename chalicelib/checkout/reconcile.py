"""Reconcile: what the provider has is compared with our orders; what lost webhooks and messages left open is mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.checkout.model import Purchase, PurchaseState
from chalicelib.checkout.refund import record_external_refund
from chalicelib.checkout.till import CheckoutContext
from chalicelib.errors import Conflict, Contended, Unavailable
from chalicelib.instants import MINUTE, Instant
from chalicelib.payments import ActionNeeded, Authorised, Captured, PaymentMade
from chalicelib.telemetry import count, logger

YOUNG: Instant = MINUTE
"""What changed less long ago may still be going on."""

_UNDER_WAY = frozenset({PurchaseState.PLACED, PurchaseState.AWAITING_BUYER, PurchaseState.ON_HOLD})


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
class Reconciled:
    """What was compared and mended. ``differences`` are (what, payment, order) and are for people."""

    payments: int = 0
    orders: int = 0
    enqueued: int = 0
    """Attempts that the capture worker was told of again: it goes on with them, or voids what is left over."""
    refunds_recorded: int = 0
    differences: list[tuple[str, str, str]] = field(default_factory=list)


def reconcile(
    context: CheckoutContext, enqueue_capture: Callable[[str, int], None], since: Instant, now: Instant
) -> Reconciled:
    """Compare every payment begun since then, and every order paid since then. Safe to repeat, and beside a sale.

    Costs the provider's list, a read for each payment, and a scan of the commerce table.
    """
    found, seen = Reconciled(), set[str]()
    for payment in context.gateway.payments(since):
        found.payments += 1
        seen.add(payment.provider_id)
        _compare(context, payment, enqueue_capture, found, now)
    for purchase in context.purchases.scan():
        if purchase.state is not PurchaseState.PAID or (purchase.placed_at or purchase.created_at) < since:
            continue
        found.orders += 1
        paid_by = purchase.payment.provider_id if purchase.payment else None
        if (
            purchase.totals.total
            and purchase.payment
            and purchase.payment.provider == context.gateway.name
            and paid_by not in seen
        ):
            _differs(found, Difference.MISSING, paid_by or "", purchase)
    if found.differences:
        count("payment_differences", len(found.differences))
    return found


def _compare(
    context: CheckoutContext,
    payment: PaymentMade,
    enqueue_capture: Callable[[str, int], None],
    found: Reconciled,
    now: Instant,
) -> None:
    purchase = context.purchases.read(payment.purchase_id) if payment.purchase_id else None
    holds_money = isinstance(payment.standing, Authorised | ActionNeeded | Captured)
    if not holds_money:
        return
    if purchase is None or payment.attempt is None:
        _differs(found, Difference.NO_ORDER, payment.provider_id, None)
        return
    its_own = purchase.attempt == payment.attempt
    if its_own and purchase.state in _UNDER_WAY:
        if purchase.state is PurchaseState.PLACED and now - purchase.updated_at > YOUNG:
            enqueue_capture(purchase.id, payment.attempt)
            found.enqueued += 1
    elif not isinstance(payment.standing, Captured):
        enqueue_capture(purchase.id, payment.attempt)
        found.enqueued += 1
    elif not its_own or purchase.state is not PurchaseState.PAID:
        _differs(found, Difference.CAPTURED, payment.provider_id, purchase)
    else:
        _compare_order(context, payment, purchase, found, now)


def _compare_order(
    context: CheckoutContext, payment: PaymentMade, purchase: Purchase, found: Reconciled, now: Instant
) -> None:
    if (payment.amount, payment.currency) != (purchase.totals.total, purchase.currency):
        _differs(found, Difference.AMOUNT, payment.provider_id, purchase)
    ours = {f"{purchase.id}-{one.id}": one for one in purchase.refunds}
    by_provider = {one.provider_id: one for one in purchase.refunds if one.provider_id}
    for made in payment.refunds:
        known = by_provider.get(made.provider_refund_id) or ours.get(made.refund_id or "")
        if known is not None:
            if known.amount != made.amount or known.failure_code is not None:
                _differs(found, Difference.REFUND, made.provider_refund_id, purchase)
            continue
        try:
            found.refunds_recorded += record_external_refund(
                context, purchase.id, made.provider_refund_id, made.amount, made.refund_id, now
            )
        except Conflict:
            _differs(found, Difference.REFUND, made.provider_refund_id, purchase)
        except (Contended, Unavailable) as error:
            logger.warning(
                "not recorded; the next comparison does",
                extra={"refund": made.provider_refund_id, "reason": error.code},
            )
    there = {made.provider_refund_id for made in payment.refunds}
    for one in purchase.refunds:
        if (
            one.completed_at is not None
            and one.amount
            and one.provider_id not in there
            and now - one.completed_at > YOUNG
        ):
            _differs(found, Difference.REFUND, one.provider_id or "", purchase)


def _differs(found: Reconciled, what: Difference, payment: str, purchase: Purchase | None) -> None:
    order = f"ord_{purchase.id}" if purchase else ""
    found.differences.append((what.value, payment, order))
    logger.error("payments and orders differ", extra={"difference": what.value, "payment": payment})
