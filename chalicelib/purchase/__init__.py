"""Purchase: one item for cart, checkout and order, with its states, prices and holds."""

from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.holds import (
    abandon_request,
    budget_holds_of,
    holds_of,
    order_ref_of,
    pool_of,
    release_unreferenced,
)
from chalicelib.purchase.idempotency import idempotency_record, replace_or_replay, with_idempotency_key
from chalicelib.purchase.model import (
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
from chalicelib.purchase.order_status import check_transition, next_version
from chalicelib.purchase.reprice import check_shipping_option
from chalicelib.purchase.requests import (
    NOT_FOUND,
    Caller,
    CheckoutResult,
    CompleteRequest,
    EnqueueCapture,
    LineRequest,
    Message,
    NoPurchase,
    PurchaseRequest,
    RefundRequest,
)
from chalicelib.purchase.store import (
    LIMIT_RETENTION,
    LimitEntry,
    LimitUsage,
    PurchaseStore,
    purchase_from_item,
    usage_from_record,
)
from chalicelib.purchase.totals import refunded_units
from chalicelib.purchase.ucp_status import (
    current_result,
    earliest_expiry,
    missing_fields,
    not_open_result,
    ucp_status_of,
)

__all__ = [
    "LIMIT_RETENTION",
    "NOT_FOUND",
    "Buyer",
    "Caller",
    "CheckoutContext",
    "CheckoutResult",
    "CompleteRequest",
    "Destination",
    "EnqueueCapture",
    "IdempotencyRecord",
    "LimitEntry",
    "LimitUsage",
    "Line",
    "LineRequest",
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
    "Totals",
    "abandon_request",
    "budget_holds_of",
    "check_shipping_option",
    "check_transition",
    "current_result",
    "earliest_expiry",
    "holds_of",
    "idempotency_record",
    "missing_fields",
    "next_version",
    "not_open_result",
    "order_ref_of",
    "pool_of",
    "purchase_from_item",
    "refunded_units",
    "release_unreferenced",
    "replace_or_replay",
    "ucp_status_of",
    "usage_from_record",
    "with_idempotency_key",
]
