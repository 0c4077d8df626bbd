"""Cancel an order by its state: void the payment of one on hold, refund a paid one."""

from __future__ import annotations

from chalicelib.capture.order_holds import cancel_order_on_hold, was_cancelled_on_hold
from chalicelib.errors import Conflict
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext, Purchase, PurchaseState, Refund, money_at_provider, order_not_found
from chalicelib.refunds import cancel_paid_order


def cancel_order(
    context: CheckoutContext, purchase_id: str, key: str, fingerprint: str, actor: str, now: Instant
) -> tuple[Purchase, Refund | None]:
    """Cancel an order; the refund is None when its payment was voided before any money was captured.

    The state is read once, and every write depends on that version. If an operator releases the order meanwhile, the
    cancellation changes nothing and ends in ``WriteConflict``; a retry acts on the new state. A repeat of a cancelled
    order gets the same result: an order on hold is voided once, and ``key`` refunds a paid one once.

    Raises:
        NotFound: there is no such order.
        Conflict: the order is being paid, or awaits its buyer.
        WriteConflict: the order was released meanwhile.
        Unavailable: the payment provider has not confirmed yet.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None or purchase.state is PurchaseState.OPEN:
        raise order_not_found()
    match purchase.state:
        case PurchaseState.PAID:
            return cancel_paid_order(context, purchase_id, key, fingerprint, actor, now)
        case PurchaseState.ON_HOLD:
            return cancel_order_on_hold(context, purchase, now), None
        case PurchaseState.CANCELLED if was_cancelled_on_hold(purchase):
            return purchase, None
        case PurchaseState.CANCELLED:
            raise order_not_found()
        case PurchaseState.AWAITING_BUYER:
            detail = "The order awaits its buyer, who has to confirm the payment. Retry once it is paid."
            raise _in_progress(context, purchase, detail, now)
        case PurchaseState.PLACED:
            detail = "The order is being paid. Retry once it is paid, or put it on hold and cancel it then."
            raise _in_progress(context, purchase, detail, now)


def _in_progress(context: CheckoutContext, purchase: Purchase, detail: str, now: Instant) -> Conflict:
    """Return the refusal, with what the provider says of the money."""
    return Conflict(f"{detail} {money_at_provider(context, purchase, now).sentence()}", code="complete_in_progress")
