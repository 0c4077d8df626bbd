"""Refunds: return money and restock units, at an operator's request or after a refund at the provider."""

from chalicelib.refunds.external import record_external_refund
from chalicelib.refunds.pending_refunds import finish_refunds, remaining_by_hold
from chalicelib.refunds.refund import cancel_paid_order, refund_order

__all__ = [
    "cancel_paid_order",
    "finish_refunds",
    "record_external_refund",
    "refund_order",
    "remaining_by_hold",
]
