"""Emit the sandbox's events, for the tokens that choose them: late, twice, or in reverse order.

The sandbox sends no HTTP request: it stores each event as the webhook handler would.
"""

from __future__ import annotations

from typing import Final

from chalicelib import aws
from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.payments.events import EventKind, ProviderEvent
from chalicelib.payments.results import ProviderRefund
from chalicelib.payments.sandbox.afterwards import REFUND_FAILS_AFTER, REFUND_PENDING_FOR
from chalicelib.payments.sandbox.store import SandboxPayment
from chalicelib.payments.store import EventStore
from chalicelib.telemetry import logger

LATE_DELAY: Final[Instant] = MINUTE
REORDERED_DELAY: Final[Instant] = 30 * SECOND
"""How long after its capture's event the event of an authorisation arrives."""

_END_OF_REFUND: Final = {"refund_pending": REFUND_PENDING_FOR, "refund_fails": REFUND_FAILS_AFTER}
"""Tokens whose refunds change later, and when: an event then tells of it."""
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
    if events is None or payment.behaviour not in {*WEBHOOK_TOKENS, *_END_OF_REFUND}:
        return
    not_before = None
    if payment.behaviour in _END_OF_REFUND:
        if refund is None:
            return
        not_before = now + _END_OF_REFUND[payment.behaviour]
    elif payment.behaviour == "webhooks_late":
        not_before = now + LATE_DELAY
    elif payment.behaviour == "webhooks_reordered" and event_type == "authorised":
        not_before = now + REORDERED_DELAY
    purchase_id, _, attempt = payment.id.partition("#")
    event = ProviderEvent(
        f"{payment.id}-{event_type}" if refund is None else refund.provider_refund_id,
        "sandbox",
        EventKind.PAYMENT if refund is None else EventKind.REFUND,
        event_type,
        payment_id=f"sbx_{payment.id}",
        purchase_id=purchase_id,
        attempt=int(attempt),
        amount=payment.amount if refund is None else refund.amount,
        currency=payment.currency,
        provider_refund_id=refund.provider_refund_id if refund else None,
        refund_id=refund.refund_id if refund else None,
        not_before=not_before,
    )
    try:
        for _ in range(2 if payment.behaviour == "webhooks_twice" else 1):
            events.add(event, now)
    except aws.AWS_ERRORS:
        logger.warning("sandbox event lost", extra={"event": event.id})
