"""Payments: one protocol, several providers. Money is asked for only when the goods are sold to the purchase."""

from chalicelib.payments.events import EventKind, EventStore, ProviderEvent, stripe_event
from chalicelib.payments.instruments import instrument_of
from chalicelib.payments.keys import ProviderKeys, read_provider_keys
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
    "EventKind",
    "EventStore",
    "Gateway",
    "OutcomeUnknownError",
    "PaymentOrder",
    "ProviderEvent",
    "ProviderKeys",
    "Refunded",
    "SandboxGateway",
    "fee_of",
    "instrument_of",
    "read_provider_keys",
    "stripe_event",
]
