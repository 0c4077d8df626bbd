"""Discounts: codes and automatic offers, and budgets that cannot be overspent."""

from chalicelib.discounts.applying import MAX_DISCOUNTS_PER_PURCHASE, Asked, applied
from chalicelib.discounts.desk import Discounts
from chalicelib.discounts.model import (
    MAX_CODE_LENGTH,
    RESERVED_SECONDS,
    Applied,
    Budget,
    BudgetState,
    Discount,
    Offered,
    Reason,
    Reserved,
    budget_layout,
    canonical,
    subject_of,
)
from chalicelib.discounts.wishes import PutDiscountRequest

__all__ = [
    "MAX_CODE_LENGTH",
    "MAX_DISCOUNTS_PER_PURCHASE",
    "RESERVED_SECONDS",
    "Applied",
    "Asked",
    "Budget",
    "BudgetState",
    "Discount",
    "Discounts",
    "Offered",
    "PutDiscountRequest",
    "Reason",
    "Reserved",
    "applied",
    "budget_layout",
    "canonical",
    "subject_of",
]
