"""Payments: one protocol, several providers. Money is asked for only when the goods are sold to the purchase."""

from chalicelib.payments.doors import is_signed_by_stripe, stripe_gateway
from chalicelib.payments.events import EventKind, ProviderEvent, stripe_event
from chalicelib.payments.instruments import instrument_of
from chalicelib.payments.keys import ProviderKeys, read_provider_keys
from chalicelib.payments.model import (
    ActionNeeded,
    Authorisation,
    AuthorisationRequest,
    Authorised,
    Captured,
    CaptureRefused,
    Declined,
    Gateway,
    OutcomeUnknownError,
    PaymentMade,
    Refunded,
    RefundMade,
    RefundRefused,
)
from chalicelib.payments.sandbox import SandboxGateway, fee_of
from chalicelib.payments.store import EventStore

__all__ = [
    "ActionNeeded",
    "Authorisation",
    "AuthorisationRequest",
    "Authorised",
    "CaptureRefused",
    "Captured",
    "Declined",
    "EventKind",
    "EventStore",
    "Gateway",
    "OutcomeUnknownError",
    "PaymentMade",
    "ProviderEvent",
    "ProviderKeys",
    "RefundMade",
    "RefundRefused",
    "Refunded",
    "SandboxGateway",
    "fee_of",
    "instrument_of",
    "is_signed_by_stripe",
    "read_provider_keys",
    "stripe_event",
    "stripe_gateway",
]
