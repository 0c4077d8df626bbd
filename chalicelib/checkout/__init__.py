"""Checkout: the purchase and what moves it, from the first hold to the last refund."""

from chalicelib.checkout.audit import DropAudit, TimeBudget
from chalicelib.checkout.audited import MAX_DETAIL, audit_report
from chalicelib.checkout.checkout import Checkout
from chalicelib.checkout.claims import HoldFault
from chalicelib.checkout.exchange import (
    Caller,
    CheckoutResult,
    CompleteRequest,
    LineRequest,
    Message,
    NoPurchase,
    PurchaseRequest,
    RefundRequest,
)
from chalicelib.checkout.identity import is_purchase_id, log_reference
from chalicelib.checkout.market_table import MarketTable, Revision
from chalicelib.checkout.markets import DEFAULT_MARKETS, Market, Markets, ShippingOption
from chalicelib.checkout.mend import EnqueueCapture, RepairReport
from chalicelib.checkout.model import (
    Buyer,
    Destination,
    IdempotencyRecord,
    Line,
    Payment,
    Purchase,
    PurchaseState,
    Refund,
    RefundLine,
    Totals,
)
from chalicelib.checkout.repair import RecoveryReport
from chalicelib.checkout.status import earliest_expiry, ucp_status_of
from chalicelib.checkout.store import PurchaseStore, purchase_from_item

__all__ = [
    "DEFAULT_MARKETS",
    "MAX_DETAIL",
    "Buyer",
    "Caller",
    "Checkout",
    "CheckoutResult",
    "CompleteRequest",
    "Destination",
    "DropAudit",
    "EnqueueCapture",
    "HoldFault",
    "IdempotencyRecord",
    "Line",
    "LineRequest",
    "Market",
    "MarketTable",
    "Markets",
    "Message",
    "NoPurchase",
    "Payment",
    "Purchase",
    "PurchaseRequest",
    "PurchaseState",
    "PurchaseStore",
    "RecoveryReport",
    "Refund",
    "RefundLine",
    "RefundRequest",
    "RepairReport",
    "Revision",
    "ShippingOption",
    "TimeBudget",
    "Totals",
    "audit_report",
    "earliest_expiry",
    "is_purchase_id",
    "log_reference",
    "purchase_from_item",
    "ucp_status_of",
]
