"""Record refunds that were made at the provider."""

from __future__ import annotations

from chalicelib.errors import Conflict, WriteConflict
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext, PurchaseState, RefundRequest, Written
from chalicelib.refunds.allocation import allocate_amount, refundable_remainder
from chalicelib.refunds.refund import _TRIES, finish_refunds, with_refund
from chalicelib.telemetry import count


def record_external_refund(
    context: CheckoutContext,
    purchase_id: str,
    provider_refund_id: str,
    amount: int,
    refund_id: str | None,
    now: Instant,
) -> bool:
    """Record a refund that was made in the provider's console: money without units, spread over what is left.

    False when it is known, by the provider's id or, ``refund_id``, by ours. ``Conflict`` when there is no such order,
    or it has less left. One read and one write; the provider is not called.
    """
    for _ in range(_TRIES):
        purchase = context.purchases.read(purchase_id)
        if purchase is None or purchase.state is not PurchaseState.PAID:
            raise Conflict("There is no paid order to refund.", code="not_paid")
        purchase = finish_refunds(context, purchase, now)
        if any(
            one.provider_id == provider_refund_id or refund_id == f"{purchase_id}-{one.id}" for one in purchase.refunds
        ):
            return False
        remainder = refundable_remainder(purchase)
        if amount > remainder.amount:
            raise Conflict(f"Only {remainder.amount} of the order was left.", code="refund_exceeds_rest")
        request = RefundRequest(
            f"provider:{provider_refund_id}", "", (), restock=False, actor="provider", amount=amount
        )
        fields = {"completed_at": now, "provider_id": provider_refund_id}
        recorded = with_refund(purchase, request, allocate_amount(remainder, amount), now, **fields)
        if isinstance(context.purchases.replace(recorded), Written):
            count("external_refunds")
            return True
    raise WriteConflict("Too many changes of this order at once.")
