"""Payments: one protocol for all providers, the sandbox provider, Stripe, and the events that providers send."""

from chalicelib.payments.events import EventKind, ProviderEvent, parse_stripe_event
from chalicelib.payments.gateway import (
    AuthorisationRequest,
    BalanceSource,
    Gateway,
    NotCertainError,
    NothingBegunError,
    OutcomeUnknownError,
    ProviderBusyError,
)
from chalicelib.payments.instruments import reusable_instrument
from chalicelib.payments.lazy_stripe import is_signed_by_stripe, stripe_gateway
from chalicelib.payments.pacing import Pace, Pacer, SharedPacer
from chalicelib.payments.provider_keys import ProviderKeys, read_provider_keys
from chalicelib.payments.results import (
    NOT_PROVED,
    ActionRequired,
    Authorisation,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    DisputeStatus,
    Movement,
    MovementKind,
    ProviderDispute,
    ProviderRefund,
    RefundFailed,
    RefundStatus,
    unless_unproved,
)
from chalicelib.payments.sandbox.gateway import SandboxGateway
from chalicelib.payments.store import (
    MOVEMENT_PREFIX,
    BalanceCursor,
    EventStore,
    MovementStore,
    TurnStore,
    movement_from_item,
    movement_from_record,
)

__all__ = [
    "MOVEMENT_PREFIX",
    "NOT_PROVED",
    "ActionRequired",
    "Authorisation",
    "AuthorisationRequest",
    "Authorised",
    "BalanceCursor",
    "BalanceSource",
    "CaptureFailed",
    "Captured",
    "Declined",
    "DisputeStatus",
    "EventKind",
    "EventStore",
    "Gateway",
    "Movement",
    "MovementKind",
    "MovementStore",
    "NotCertainError",
    "NothingBegunError",
    "OutcomeUnknownError",
    "Pace",
    "Pacer",
    "ProviderBusyError",
    "ProviderDispute",
    "ProviderEvent",
    "ProviderKeys",
    "ProviderRefund",
    "RefundFailed",
    "RefundStatus",
    "SandboxGateway",
    "SharedPacer",
    "TurnStore",
    "is_signed_by_stripe",
    "movement_from_item",
    "movement_from_record",
    "parse_stripe_event",
    "read_provider_keys",
    "reusable_instrument",
    "stripe_gateway",
    "unless_unproved",
]
