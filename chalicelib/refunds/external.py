"""Record refunds that were made at the provider."""

from __future__ import annotations

from chalicelib.errors import Conflict, WriteConflict
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext, PurchaseState, RefundRequest, Written
from chalicelib.refunds.allocation import allocate_amount, refundable_remainder
from chalicelib.refunds.pending_refunds import MAX_TRIES, finish_refunds
from chalicelib.refunds.refund import with_refund
from chalicelib.telemetry import count


def record_external_refund(
    context: CheckoutContext,
    purchase_id: str,
    provider_refund_id: str,
    amount: int,
    refund_id: str | None,
    now: Instant,
) -> bool:
    """Record a refund made in the provider's console: an amount without units, spread over what remains.

    False when the order has the refund already, by the provider's id or by our ``refund_id``. Costs one read and one
    write; the provider is not called.

    Raises:
        Conflict: no paid order has this id, or less than the amount remains.
    """
    for _ in range(MAX_TRIES):
        purchase = context.purchases.read(purchase_id)
        if purchase is None or purchase.state is not PurchaseState.PAID:
            raise Conflict("No paid order has this id.", code="not_paid")
        purchase = finish_refunds(context, purchase, now)
        if any(
            refund.provider_id == provider_refund_id or refund_id == f"{purchase_id}-{refund.id}"
            for refund in purchase.refunds
        ):
            return False
        remainder = refundable_remainder(purchase)
        if amount > remainder.amount:
            raise Conflict(f"Only {remainder.amount} remains of the order.", code="refund_exceeds_rest")
        request = RefundRequest(
            f"provider:{provider_refund_id}", "", (), restock=False, actor="provider", amount=amount
        )
        fields = {"completed_at": now, "provider_id": provider_refund_id}
        recorded = with_refund(purchase, request, allocate_amount(remainder, amount), now, **fields)
        if isinstance(context.purchases.replace(recorded), Written):
            count("external_refunds")
            return True
    raise WriteConflict("Other requests are changing this order. Try again.")
