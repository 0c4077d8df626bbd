"""Recovery: audit and repair of stock, lost messages, comparison with the provider."""

from chalicelib.recovery.audit import audit_drop
from chalicelib.recovery.audit_report import MAX_DETAIL, build_audit_report
from chalicelib.recovery.discrepancies import DropAudit
from chalicelib.recovery.expected_holds import HoldFault
from chalicelib.recovery.reconciliation import (
    MAX_READ_AGAIN,
    READ_AGAIN,
    ClearingRow,
    Comparison,
    DifferenceKind,
    FollowReport,
    ReconciliationReport,
    follow_balance,
    reconcile_payments,
)
from chalicelib.recovery.recover_orders import recover_lost_orders
from chalicelib.recovery.repair_drop import RepairReport, repair_stock

__all__ = [
    "MAX_DETAIL",
    "MAX_READ_AGAIN",
    "READ_AGAIN",
    "ClearingRow",
    "Comparison",
    "DifferenceKind",
    "DropAudit",
    "FollowReport",
    "HoldFault",
    "ReconciliationReport",
    "RepairReport",
    "audit_drop",
    "build_audit_report",
    "follow_balance",
    "reconcile_payments",
    "recover_lost_orders",
    "repair_stock",
]
