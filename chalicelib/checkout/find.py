"""Read a purchase as its buyer sees it."""

from __future__ import annotations

from chalicelib.instants import Instant
from chalicelib.purchase import NOT_FOUND, CheckoutContext, CheckoutResult, NoPurchase, current_result


def find_purchase(context: CheckoutContext, purchase_id: str, now: Instant) -> CheckoutResult | NoPurchase:
    """Read a purchase and the messages that its buyer sees. One consistent read."""
    purchase = context.purchases.read(purchase_id)
    return NOT_FOUND if purchase is None else current_result(purchase, now)
