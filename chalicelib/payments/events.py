"""What a provider tells by webhook, in our words. An event only says where to look: the truth is asked of the provider.

So events may come twice, late, in any order or not at all: the end is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from chalicelib.errors import BadInput
from chalicelib.instants import Instant


class EventKind(StrEnum):
    """What an event is about. ``OTHER`` is acknowledged and counted."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event. ``payment_id`` is the provider's; ``amount`` in minor units of ``currency``, of payment or refund."""

    id: str
    provider: str
    kind: EventKind
    told: str
    """The provider's own name of what happened."""
    payment_id: str | None = None
    purchase_id: str | None = None
    attempt: int | None = None
    amount: int | None = None
    currency: str | None = None
    provider_refund_id: str | None = None
    refund_id: str | None = None
    """Our id of the refund, where we made it."""
    due: Instant | None = None
    """Not looked at before: an event of the sandbox that comes late."""


_STRIPE_PAYMENTS: Final = frozenset(
    f"payment_intent.{what}" for what in ("amount_capturable_updated", "succeeded", "payment_failed", "canceled")
)
_STRIPE_KINDS: Final = (
    dict.fromkeys(_STRIPE_PAYMENTS, EventKind.PAYMENT)
    | dict.fromkeys(("refund.created", "refund.updated"), EventKind.REFUND)
    | {"refund.failed": EventKind.REFUND_FAILED, "charge.dispute.created": EventKind.DISPUTE}
)


def stripe_event(body: Mapping[str, Any]) -> ProviderEvent:
    """An event as Stripe sends it (docs.stripe.com/api/events). ``BadInput`` names what is missing or wrong."""
    name, told = _text(body, "id"), _text(body, "type")
    kind = _STRIPE_KINDS.get(told, EventKind.OTHER)
    if kind is EventKind.OTHER:
        return ProviderEvent(name, "stripe", kind, told)
    about = body.get("data")
    about = about.get("object") if isinstance(about, dict) else None
    if not isinstance(about, dict):
        raise BadInput("An event is about an object.", field="$.data.object")
    known = about.get("metadata")
    known = known if isinstance(known, dict) else {}
    attempt = known.get("attempt")
    if kind is EventKind.REFUND and about.get("status") in {"pending", "failed", "canceled", "requires_action"}:
        kind = EventKind.REFUND_FAILED if about["status"] == "failed" else EventKind.OTHER
    payment = kind is EventKind.PAYMENT
    return ProviderEvent(
        id=name,
        provider="stripe",
        kind=kind,
        told=told,
        payment_id=_text(about, "id") if payment else about.get("payment_intent"),
        purchase_id=known.get("purchase"),
        attempt=int(attempt) if isinstance(attempt, str) and attempt.isdecimal() else None,
        amount=about.get("amount") if isinstance(about.get("amount"), int) else None,
        currency=str(about.get("currency", "")).upper() or None,
        provider_refund_id=None if payment else _text(about, "id"),
        refund_id=known.get("refund"),
    )


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise BadInput(f"An event has its {name}, a text.", field=f"$.{name}")
    return value
