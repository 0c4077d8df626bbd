"""Discounts: codes and automatic discounts, and budgets that no race can overspend."""

from chalicelib.discounts.apply import MAX_DISCOUNTS_PER_PURCHASE, PricingInput, apply_discounts
from chalicelib.discounts.discounts import Discounts
from chalicelib.discounts.model import (
    BUDGET_HOLD_SECONDS,
    MAX_CODE_LENGTH,
    ActiveDiscount,
    AppliedDiscount,
    Budget,
    BudgetHold,
    BudgetState,
    Discount,
    RejectionReason,
    budget_pool,
    limit_key,
    normalise_code,
)
from chalicelib.discounts.requests import PutDiscountRequest

__all__ = [
    "BUDGET_HOLD_SECONDS",
    "MAX_CODE_LENGTH",
    "MAX_DISCOUNTS_PER_PURCHASE",
    "ActiveDiscount",
    "AppliedDiscount",
    "Budget",
    "BudgetHold",
    "BudgetState",
    "Discount",
    "Discounts",
    "PricingInput",
    "PutDiscountRequest",
    "RejectionReason",
    "apply_discounts",
    "budget_pool",
    "limit_key",
    "normalise_code",
]
