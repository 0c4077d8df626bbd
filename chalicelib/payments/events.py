"""The events that a provider sends by webhook. An event only names a payment; the provider is asked for its state.

So events may arrive twice, late, in any order or not at all: the end is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from chalicelib.errors import BadInput
from chalicelib.instants import Instant

MARK_KEY: Final = "livedrop"
"""The key of our mark in the metadata of a payment. Its value names the shop."""


class EventKind(StrEnum):
    """The subject of an event. ``OTHER`` is acknowledged and counted."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event. ``payment_id`` is the provider's id; ``amount``, of payment or refund, is in minor units."""

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
    refund_id: str | None = None
    """The product's id of the refund; None for one that was made in the provider's console."""
    not_before: Instant | None = None
    """The instant before which the event is not processed; the sandbox sends late events so."""


_STRIPE_PAYMENTS: Final = frozenset(
    f"payment_intent.{name}" for name in ("amount_capturable_updated", "succeeded", "payment_failed", "canceled")
)
_STRIPE_KINDS: Final = (
    dict.fromkeys(_STRIPE_PAYMENTS, EventKind.PAYMENT)
    | dict.fromkeys(("refund.created", "refund.updated"), EventKind.REFUND)
    | {"refund.failed": EventKind.REFUND_FAILED, "charge.dispute.created": EventKind.DISPUTE}
)


def parse_stripe_event(body: Mapping[str, Any], mark: str) -> ProviderEvent:
    """Parse an event as Stripe sends it (https://docs.stripe.com/api/events).

    An event of a payment without this shop's ``mark`` is of kind ``OTHER``. Refunds and disputes have no mark of their
    own; their payment tells whose they are.

    Raises:
        BadInput: a field is missing or wrong; the error names it.
    """
    event_id, provider_type = _text(body, "id"), _text(body, "type")
    kind = _STRIPE_KINDS.get(provider_type, EventKind.OTHER)
    if kind is EventKind.OTHER:
        return ProviderEvent(event_id, "stripe", kind, provider_type)
    subject = body.get("data")
    subject = subject.get("object") if isinstance(subject, dict) else None
    if not isinstance(subject, dict):
        raise BadInput("`data.object` must be an object.", field="$.data.object")
    metadata = subject.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    attempt = metadata.get("attempt")
    if kind is EventKind.REFUND and subject.get("status") in {"pending", "failed", "canceled", "requires_action"}:
        kind = EventKind.REFUND_FAILED if subject["status"] == "failed" else EventKind.OTHER
    is_payment = kind is EventKind.PAYMENT
    object_id = _text(subject, "id")
    if is_payment and metadata.get(MARK_KEY) != mark:
        return ProviderEvent(event_id, "stripe", EventKind.OTHER, provider_type)
    return ProviderEvent(
        id=event_id,
        provider="stripe",
        kind=kind,
        provider_type=provider_type,
        payment_id=object_id if is_payment else subject.get("payment_intent"),
        purchase_id=metadata.get("purchase"),
        attempt=int(attempt) if isinstance(attempt, str) and attempt.isdecimal() else None,
        amount=subject.get("amount") if isinstance(subject.get("amount"), int) else None,
        currency=str(subject.get("currency", "")).upper() or None,
        provider_refund_id=None if is_payment else object_id,
        refund_id=metadata.get("refund"),
    )


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise BadInput(f"`{name}` must be a string of 1 to 255 characters.", field=f"$.{name}")
    return value
