"""Emit the sandbox's events, for the tokens that choose them: late, twice, or in reverse order.

The sandbox sends no HTTP request: it stores each event as the webhook handler would.
"""

from __future__ import annotations

from typing import Final

from chalicelib import aws
from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.payments.events import EventKind, ProviderEvent
from chalicelib.payments.results import ProviderRefund
from chalicelib.payments.sandbox.afterwards import (
    DISPUTE_LASTS,
    DISPUTE_OPENS_AFTER,
    DISPUTE_TOKENS,
    REFUND_FAILS_AFTER,
    REFUND_PENDING_FOR,
    dispute_id_of,
)
from chalicelib.payments.sandbox.store import ID_PREFIX, SandboxPayment
from chalicelib.payments.store import EventStore
from chalicelib.telemetry import logger

LATE_DELAY: Final[Instant] = MINUTE
REORDERED_DELAY: Final[Instant] = 30 * SECOND
"""How long after its capture's event the event of an authorisation arrives."""

_END_OF_REFUND: Final = {"refund_pending": REFUND_PENDING_FOR, "refund_fails": REFUND_FAILS_AFTER}
"""Tokens whose refunds change later, and when: an event then tells of it."""
_DISPUTE_EVENTS: Final = {
    "dispute_opened": DISPUTE_OPENS_AFTER,
    "dispute_closed": DISPUTE_OPENS_AFTER + DISPUTE_LASTS,
}
"""Events of a dispute, and how long after the capture each arrives."""
WEBHOOK_TOKENS: Final = ("webhooks_late", "webhooks_twice", "webhooks_reordered")


def emit_webhooks(
    events: EventStore | None,
    payment: SandboxPayment,
    event_type: str,
    now: Instant,
    refund: ProviderRefund | None = None,
) -> None:
    """Emit an event of a payment (``authorised``, ``captured``) or of a ``refund``, if the token chooses events.

    1 WCU an event. An event that cannot be stored is lost, as any provider's may be.
    """
    if events is None:
        return
    emitted: list[ProviderEvent] = []
    if payment.behaviour in WEBHOOK_TOKENS:
        event = _event(payment, event_type, refund, not_before=_delayed(payment.behaviour, event_type, now))
        emitted = [event] * (2 if payment.behaviour == "webhooks_twice" else 1)
    elif payment.behaviour in _END_OF_REFUND and refund is not None:
        emitted = [_event(payment, event_type, refund, not_before=now + _END_OF_REFUND[payment.behaviour])]
    elif payment.behaviour in DISPUTE_TOKENS and event_type == "captured":
        emitted = [_dispute_event(payment, name, now + wait) for name, wait in _DISPUTE_EVENTS.items()]
    try:
        for event in emitted:
            events.add(event, now)
    except aws.AWS_ERRORS:
        logger.warning("sandbox event lost", extra={"event": event.id})


def _delayed(behaviour: str, event_type: str, now: Instant) -> Instant | None:
    if behaviour == "webhooks_late":
        return now + LATE_DELAY
    return now + REORDERED_DELAY if behaviour == "webhooks_reordered" and event_type == "authorised" else None


def _event(
    payment: SandboxPayment, event_type: str, refund: ProviderRefund | None, *, not_before: Instant | None
) -> ProviderEvent:
    purchase_id, _, attempt = payment.id.partition("#")
    return ProviderEvent(
        f"{payment.id}-{event_type}" if refund is None else refund.provider_refund_id,
        "sandbox",
        EventKind.PAYMENT if refund is None else EventKind.REFUND,
        event_type,
        payment_id=ID_PREFIX + payment.id,
        purchase_id=purchase_id,
        attempt=int(attempt),
        amount=payment.amount if refund is None else refund.amount,
        currency=payment.currency,
        provider_refund_id=refund.provider_refund_id if refund else None,
        not_before=not_before,
    )


def _dispute_event(payment: SandboxPayment, event_type: str, not_before: Instant) -> ProviderEvent:
    return ProviderEvent(
        f"{payment.id}-{event_type}",
        "sandbox",
        EventKind.DISPUTE,
        event_type,
        payment_id=ID_PREFIX + payment.id,
        dispute_id=dispute_id_of(payment.id),
        not_before=not_before,
    )
