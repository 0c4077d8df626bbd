"""Payments: one protocol, several providers. Money is asked for only when the goods are sold to the purchase."""

from chalicelib.payments.model import (
    ActionNeeded,
    Authorisation,
    Authorised,
    Captured,
    CaptureRefused,
    Declined,
    Gateway,
    OutcomeUnknownError,
    PaymentOrder,
    Refunded,
)
from chalicelib.payments.sandbox import SandboxGateway, fee_of

__all__ = [
    "ActionNeeded",
    "Authorisation",
    "Authorised",
    "CaptureRefused",
    "Captured",
    "Declined",
    "Gateway",
    "OutcomeUnknownError",
    "PaymentOrder",
    "Refunded",
    "SandboxGateway",
    "fee_of",
]
