"""Read a purchase as its buyer sees it."""

from __future__ import annotations

from chalicelib.instants import Instant
from chalicelib.purchase import NOT_FOUND, CheckoutContext, CheckoutResult, NoPurchase, current_result


def find_purchase(context: CheckoutContext, purchase_id: str, now: Instant) -> CheckoutResult | NoPurchase:
    """A purchase as it stands: one consistent read."""
    purchase = context.purchases.read(purchase_id)
    return NOT_FOUND if purchase is None else current_result(purchase, now)
