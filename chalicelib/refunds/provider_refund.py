"""Record what the provider says of a refund, also of one that was made in its console."""

from __future__ import annotations

from chalicelib.errors import Conflict, WriteConflict
from chalicelib.instants import Instant
from chalicelib.payments import ProviderRefund, RefundStatus
from chalicelib.purchase import CheckoutContext, Purchase, PurchaseState, Refund, RefundRequest, Written
from chalicelib.refunds.allocation import allocate_amount, refundable_remainder
from chalicelib.refunds.finish_refund import finish_refunds, record_answer
from chalicelib.refunds.refund import with_refund
from chalicelib.refunds.restock import MAX_TRIES
from chalicelib.telemetry import count


def record_provider_refund(context: CheckoutContext, purchase_id: str, made: ProviderRefund, now: Instant) -> bool:
    """Record a refund as the provider has it now. Return whether the order changed.

    ``made`` must come from the provider at this moment, never from an event. A refund that the order knows, by the
    provider's id or by the product's, moves on. One of the provider's console is added: an amount without units,
    spread over what remains. The part beyond it is recorded as well, because the provider moved it. A refund that the
    order does not know and that failed moved nothing, so it is left aside. Costs one read and one write.

    Raises:
        Conflict: the order is not paid (``not_paid``), or by another payment (``other_payment``).
        WriteConflict: other requests are changing the order. Try again.
    """
    for _ in range(MAX_TRIES):
        purchase = context.purchases.read(purchase_id)
        if purchase is None or purchase.state is not PurchaseState.PAID:
            raise Conflict("The order is not paid.", code="not_paid")
        if not _is_of_payment(purchase, made):
            raise Conflict("The order was paid by another payment.", code="other_payment")
        known = _known_refund(purchase, made)
        if known is not None:
            return record_answer(context, purchase, known.id, made, now).version > purchase.version
        if made.status is RefundStatus.FAILED:
            return False
        added = _with_console_refund(context, purchase, made, now)
        if isinstance(context.purchases.replace(added), Written):
            count("external_refunds")
            return True
    raise WriteConflict("Other requests are changing this order. Try again.")


def _is_of_payment(purchase: Purchase, made: ProviderRefund) -> bool:
    payment_id = purchase.payment.provider_id if purchase.payment else None
    return made.payment_id in {None, payment_id}


def _known_refund(purchase: Purchase, made: ProviderRefund) -> Refund | None:
    """Return the order's refund that ``made`` is.

    The product's refund id counts only until the provider's id is recorded: a refund that was refused, or another one
    of the same name, is not this one.
    """
    for refund in purchase.refunds:
        if refund.provider_id is not None:
            if refund.provider_id == made.provider_refund_id:
                return refund
        elif refund.is_pending and made.refund_id == f"{purchase.id}-{refund.id}":
            return refund
    return None


def _with_console_refund(context: CheckoutContext, purchase: Purchase, made: ProviderRefund, now: Instant) -> Purchase:
    remainder = refundable_remainder(purchase)
    if made.amount > remainder.amount and any(refund.is_pending for refund in purchase.refunds):
        purchase = finish_refunds(context, purchase, now)  # the provider refuses what it has no money left for
        remainder = refundable_remainder(purchase)
    request = RefundRequest(
        f"provider:{made.provider_refund_id}", "", (), restock=False, actor="provider", amount=made.amount
    )
    completed_at = now if made.status is RefundStatus.SUCCEEDED else None
    fields = {"provider_id": made.provider_refund_id, "completed_at": completed_at}
    allocation = allocate_amount(remainder, min(made.amount, remainder.amount))
    return with_refund(purchase, request, allocation, now, amount=made.amount, **fields)
