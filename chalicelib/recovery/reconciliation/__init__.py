"""Reconciliation: follow the provider's balance, compare orders with what moved, and state the clearing account."""

from chalicelib.recovery.reconciliation.clearing import ClearingRow
from chalicelib.recovery.reconciliation.compare_order import DifferenceKind
from chalicelib.recovery.reconciliation.follow_balance import (
    MAX_READ_AGAIN,
    READ_AGAIN,
    FollowReport,
    follow_balance,
)
from chalicelib.recovery.reconciliation.reconcile import ReconciliationReport, reconcile_payments
from chalicelib.recovery.reconciliation.store import Comparison, ComparisonStore

__all__ = [
    "MAX_READ_AGAIN",
    "READ_AGAIN",
    "ClearingRow",
    "Comparison",
    "ComparisonStore",
    "DifferenceKind",
    "FollowReport",
    "ReconciliationReport",
    "follow_balance",
    "reconcile_payments",
]
