"""Checkout: the buyer's verbs, from the first hold to placing the order."""

from chalicelib.checkout.cancel import cancel_purchase
from chalicelib.checkout.complete import complete_purchase
from chalicelib.checkout.create import create_purchase
from chalicelib.checkout.discount_budgets import release_budgets, revert_budgets_to_hold
from chalicelib.checkout.find import find_purchase
from chalicelib.checkout.payment_velocity import (
    exceeds_velocity_limit,
    is_by_provider,
    record_decline,
    record_decline_of_drops,
)
from chalicelib.checkout.update import update_purchase

__all__ = [
    "cancel_purchase",
    "complete_purchase",
    "create_purchase",
    "exceeds_velocity_limit",
    "find_purchase",
    "is_by_provider",
    "record_decline",
    "record_decline_of_drops",
    "release_budgets",
    "revert_budgets_to_hold",
    "update_purchase",
]
