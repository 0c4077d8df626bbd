"""Refunds: money and units back, asked for by operators or made at the provider."""

from chalicelib.refunds.external import record_external_refund
from chalicelib.refunds.refund import cancel_paid_order, finish_refunds, refund_order, remaining_by_hold

__all__ = [
    "cancel_paid_order",
    "finish_refunds",
    "record_external_refund",
    "refund_order",
    "remaining_by_hold",
]
