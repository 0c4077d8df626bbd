"""The payment providers of the searches: the money of the shop at each, read without the product's code."""

from tests.providers.records import PaymentRecord, PaymentStatus, RefundRecord, sandbox_payments

__all__ = ["PaymentRecord", "PaymentStatus", "RefundRecord", "sandbox_payments"]
