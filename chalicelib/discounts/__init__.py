"""Discounts: codes and automatic offers, and budgets that cannot be overspent."""

from chalicelib.discounts.applying import MOST_APPLIED, Asked, applied
from chalicelib.discounts.desk import Discounts
from chalicelib.discounts.model import (
    MOST_CODE,
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
    "MOST_APPLIED",
    "MOST_CODE",
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
