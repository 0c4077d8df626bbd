"""Payments: one protocol for all providers, the sandbox provider, Stripe, and the events that providers send."""

from chalicelib.payments.events import EventKind, ProviderEvent, parse_stripe_event
from chalicelib.payments.gateway import (
    ActionRequired,
    Authorisation,
    AuthorisationRequest,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    Gateway,
    OutcomeUnknownError,
    ProviderPayment,
    ProviderRefund,
    Refunded,
    RefundFailed,
)
from chalicelib.payments.instruments import reusable_instrument
from chalicelib.payments.lazy_stripe import is_signed_by_stripe, stripe_gateway
from chalicelib.payments.provider_keys import ProviderKeys, read_provider_keys
from chalicelib.payments.sandbox.gateway import SandboxGateway
from chalicelib.payments.store import EventStore

__all__ = [
    "ActionRequired",
    "Authorisation",
    "AuthorisationRequest",
    "Authorised",
    "CaptureFailed",
    "Captured",
    "Declined",
    "EventKind",
    "EventStore",
    "Gateway",
    "OutcomeUnknownError",
    "ProviderEvent",
    "ProviderKeys",
    "ProviderPayment",
    "ProviderRefund",
    "RefundFailed",
    "Refunded",
    "SandboxGateway",
    "is_signed_by_stripe",
    "parse_stripe_event",
    "read_provider_keys",
    "reusable_instrument",
    "stripe_gateway",
]
