"""The payment providers of the searches: the money of the shop at each, read without the product's code."""

from tests.providers.records import (
    MovementRecord,
    PaymentRecord,
    PaymentStatus,
    RefundRecord,
    sandbox_movements,
    sandbox_payments,
)

__all__ = [
    "MovementRecord",
    "PaymentRecord",
    "PaymentStatus",
    "RefundRecord",
    "sandbox_movements",
    "sandbox_payments",
]
