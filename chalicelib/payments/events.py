"""The events that a provider sends by webhook. An event only names an object; the provider is asked for its state.

So events may arrive twice, late, in any order or not at all: the end is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.payments.stripe.currencies import from_provider_amount

MARK_KEY: Final = "livedrop"
"""The key of the shop's mark in the metadata of a payment. Its value names the shop."""


class EventKind(StrEnum):
    """The kind of an event: how the worker acts on it.

    - ``PAYMENT``: looks the attempt up at the provider, and goes on with it
    - ``REFUND``: reads the refund, or all refunds of the payment, at the provider, and records what it finds
    - ``DISPUTE``: reads the dispute at the provider, and records what it finds
    - ``FRAUD_WARNING``: counts and logs it
    - ``NOTED``: nothing; another event, or the nightly comparison, tells what moved
    - ``OTHER``: nothing; the type is unknown, or the object is of other software. It is counted.
    """

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    """As ``REFUND``; events that an older version stored have it."""
    DISPUTE = "dispute"
    FRAUD_WARNING = "fraud_warning"
    NOTED = "noted"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event. ``payment_id`` is the provider's id; ``amount``, of a payment, is in minor units."""

    id: str
    provider: str
    kind: EventKind
    provider_type: str
    """The provider's own name for the kind of event."""
    payment_id: str | None = None
    purchase_id: str | None = None
    attempt: int | None = None
    amount: int | None = None
    currency: str | None = None
    provider_refund_id: str | None = None
    """None in a refund's event: any refund of the payment may have changed."""
    not_before: Instant | None = None
    """The instant before which the event is not processed; the sandbox sends late events so."""
    dispute_id: str | None = None
    received_at: Instant | None = None
    """When the event was stored."""


_NAMES_OF_STRIPE_EVENTS: Final[Mapping[tuple[str, EventKind], str]] = {
    ("payment_intent", EventKind.PAYMENT): "amount_capturable_updated canceled payment_failed succeeded",
    ("payment_intent", EventKind.NOTED): "created partially_funded processing requires_action",
    ("charge", EventKind.REFUND): "refund.updated refunded",
    ("charge", EventKind.NOTED): "captured expired failed pending succeeded updated",
    ("charge.dispute", EventKind.DISPUTE): "closed created funds_reinstated funds_withdrawn updated",
    ("refund", EventKind.REFUND): "created failed updated",
    ("radar.early_fraud_warning", EventKind.FRAUD_WARNING): "created updated",
    ("review", EventKind.NOTED): "closed opened",
    ("payout", EventKind.NOTED): "canceled created failed paid reconciliation_completed updated",
}
STRIPE_EVENTS: Final[Mapping[str, EventKind]] = {
    f"{subject}.{name}": kind for (subject, kind), names in _NAMES_OF_STRIPE_EVENTS.items() for name in names.split()
}
"""Every event that Stripe documents for payments, refunds, disputes, warnings, reviews and payouts.

Source: https://docs.stripe.com/api/events/types.
"""


def parse_stripe_event(body: Mapping[str, Any], mark: str) -> ProviderEvent:
    """Parse an event as Stripe sends it (https://docs.stripe.com/api/events).

    An event of a payment without this shop's ``mark`` is of kind ``OTHER``. Refunds and disputes have no mark of their
    own; their payment tells whose they are. A thin event (``v2.core.event``) has no object, and is ``OTHER``.

    Raises:
        BadInput: a field is missing or wrong; the error names it.
    """
    event_id, provider_type = _text(body, "id"), _text(body, "type")
    is_thin = body.get("object") == "v2.core.event"
    kind = EventKind.OTHER if is_thin else STRIPE_EVENTS.get(provider_type, EventKind.OTHER)
    if kind in {EventKind.NOTED, EventKind.OTHER}:
        return ProviderEvent(event_id, "stripe", kind, provider_type)
    subject = body.get("data")
    subject = subject.get("object") if isinstance(subject, dict) else None
    if not isinstance(subject, dict):
        raise BadInput("`data.object` must be an object.", field="$.data.object")
    if kind is EventKind.PAYMENT:
        return _payment_event(event_id, provider_type, subject, mark)
    object_id, payment_id = _text(subject, "id"), subject.get("payment_intent")
    is_refund = kind is EventKind.REFUND and provider_type != "charge.refunded"  # whose object is the charge
    return ProviderEvent(
        event_id,
        "stripe",
        kind,
        provider_type,
        payment_id=payment_id if isinstance(payment_id, str) else None,
        provider_refund_id=object_id if is_refund else None,
        dispute_id=object_id if kind is EventKind.DISPUTE else None,
    )


def _payment_event(event_id: str, provider_type: str, intent: Mapping[str, Any], mark: str) -> ProviderEvent:
    """Return the event of a payment intent. Its amount is what was received, once the payment succeeded."""
    metadata = intent.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    payment_id = _text(intent, "id")
    if metadata.get(MARK_KEY) != mark:
        return ProviderEvent(event_id, "stripe", EventKind.OTHER, provider_type)
    attempt, currency = str(metadata.get("attempt") or ""), str(intent.get("currency", "")).upper() or None
    received = intent.get("amount_received") if provider_type == "payment_intent.succeeded" else None
    amount = intent.get("amount") if received is None else received
    return ProviderEvent(
        event_id,
        "stripe",
        EventKind.PAYMENT,
        provider_type,
        payment_id,
        metadata.get("purchase"),
        int(attempt) if re.fullmatch("[0-9]{1,9}", attempt) else None,
        _minor_units(amount, currency or ""),
        currency,
    )


def _minor_units(amount: object, currency: str) -> int | None:
    """Return an amount in minor units; None for one that is not expressible."""
    try:
        return from_provider_amount(amount, currency) if isinstance(amount, int) else None
    except ValueError:
        return None


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise BadInput(f"`{name}` must be a string of 1 to 255 characters.", field=f"$.{name}")
    return value
