"""Refunds: return money and restock units, and record what the provider says of refunds and disputes."""

from chalicelib.refunds.disputes import record_dispute
from chalicelib.refunds.finish_refund import finish_refunds
from chalicelib.refunds.provider_refund import record_provider_refund
from chalicelib.refunds.refund import cancel_paid_order, refund_order
from chalicelib.refunds.restock import remaining_by_hold

__all__ = [
    "cancel_paid_order",
    "finish_refunds",
    "record_dispute",
    "record_provider_refund",
    "refund_order",
    "remaining_by_hold",
]
