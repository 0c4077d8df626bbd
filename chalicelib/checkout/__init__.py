"""Checkout: the purchase and what moves it, from the first hold to the last refund."""

from chalicelib.checkout.audit import DropAudit, Enough
from chalicelib.checkout.audited import MOST_DETAIL, audit_report
from chalicelib.checkout.checkout import Checkout
from chalicelib.checkout.claims import Fault
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
from chalicelib.checkout.mend import EnqueueCapture, Mended
from chalicelib.checkout.model import (
    Buyer,
    Destination,
    Line,
    Payment,
    Purchase,
    PurchaseState,
    Refund,
    RefundLine,
    Totals,
    UsedKey,
)
from chalicelib.checkout.repair import Repaired
from chalicelib.checkout.status import earliest_expiry, ucp_status_of
from chalicelib.checkout.store import PurchaseStore, purchase_from_item

__all__ = [
    "DEFAULT_MARKETS",
    "MOST_DETAIL",
    "Buyer",
    "Caller",
    "Checkout",
    "CheckoutResult",
    "CompleteRequest",
    "Destination",
    "DropAudit",
    "Enough",
    "EnqueueCapture",
    "Fault",
    "Line",
    "LineRequest",
    "Market",
    "MarketTable",
    "Markets",
    "Mended",
    "Message",
    "NoPurchase",
    "Payment",
    "Purchase",
    "PurchaseRequest",
    "PurchaseState",
    "PurchaseStore",
    "Refund",
    "RefundLine",
    "RefundRequest",
    "Repaired",
    "Revision",
    "ShippingOption",
    "Totals",
    "UsedKey",
    "audit_report",
    "earliest_expiry",
    "is_purchase_id",
    "log_reference",
    "purchase_from_item",
    "ucp_status_of",
]
