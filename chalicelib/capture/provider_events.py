"""Store and process a provider's events. An event only names an object; the provider is asked for the object's state.

So events may arrive twice, late and in any order.
"""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import AttemptOutcome, seconds_until
from chalicelib.capture.fail_attempt import void_orphaned_authorisation
from chalicelib.capture.process_payment import process_attempt
from chalicelib.capture.refund_events import (
    EventHandled,
    EventPostponed,
    process_dispute_event,
    process_refund_event,
    report_fraud_warning,
)
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import EventKind, ProviderEvent
from chalicelib.purchase import SETTLE_PERIOD, CheckoutContext, Purchase, PurchaseState
from chalicelib.telemetry import count, logger

IN_PROGRESS_RETRY_SECONDS: Final = 15
"""When to process an event again whose attempt another worker may be paying for at this moment."""

_ENDED: Final = frozenset({PurchaseState.OPEN, PurchaseState.CANCELLED})
"""The states without a running attempt. Their total says nothing about its payment, because the buyer may change it."""

EventOutcome = AttemptOutcome | EventHandled | EventPostponed
"""How one run of the capture worker left an event: as its attempt, where it is about a payment."""


def store_event(context: CheckoutContext, event: ProviderEvent, now: Instant) -> str:
    """Store an event for the worker; return ``stored``, ``repeated``, ``known`` or ``ignored``.

    ``known``: the paid order says as much already. ``ignored``: the event is about nothing that orders depend on.
    Costs 1 WCU, and one read of the purchase that the event names; a known event costs the read alone.
    """
    if event.kind in {EventKind.NOTED, EventKind.OTHER}:
        if event.kind is EventKind.OTHER:
            count("payment_events_ignored")
        return "ignored"
    purchase = context.purchases.read(event.purchase_id) if event.purchase_id else None
    if event.kind is EventKind.PAYMENT and purchase is not None and _is_already_known(purchase, event):
        return "known"
    return "stored" if context.events.add(event, now) else "repeated"


def _is_already_known(purchase: Purchase, event: ProviderEvent) -> bool:
    payment = purchase.payment
    paid = purchase.state is PurchaseState.PAID and purchase.attempt == event.attempt
    return (
        paid
        and payment is not None
        and payment.provider_id == event.payment_id
        and not _differs_from_order(purchase, event)
    )


def process_event(context: CheckoutContext, provider: str, event_id: str, now: Instant) -> EventOutcome:
    """Do what a stored event asks for. Safe to repeat.

    Raises:
        OutcomeUnknownError: the provider did not answer; try again.
        WriteConflict: another worker has changed the purchase; try again.
    """
    event = context.events.read(provider, event_id)
    if event is None:
        logger.error("event not found", extra={"event": event_id})
        return EventHandled()
    if event.not_before is not None and now < event.not_before:
        return EventPostponed(seconds_until(event.not_before, now))
    match event.kind:
        case EventKind.PAYMENT:
            return _process_payment_event(context, event, now)
        case EventKind.REFUND | EventKind.REFUND_FAILED:
            return process_refund_event(context, event, now)
        case EventKind.DISPUTE:
            return process_dispute_event(context, event, now)
        case EventKind.FRAUD_WARNING:
            report_fraud_warning(context, event)
    return EventHandled()


def _process_payment_event(context: CheckoutContext, event: ProviderEvent, now: Instant) -> EventOutcome:
    purchase = context.purchases.read(event.purchase_id) if event.purchase_id else None
    if purchase is None or event.attempt is None:
        _report_unmatched(event, "payment event matches no order")
        return EventHandled()
    has_ended = purchase.attempt != event.attempt or purchase.state in _ENDED
    if not has_ended and _differs_from_order(purchase, event):
        count("payment_event_mismatches")
        extra = {"event": event.id, "purchase": log_reference(purchase.id)}
        logger.error("payment event differs from its order", extra=extra)
        if purchase.state is not PurchaseState.ON_HOLD:  # whose order notes what was received
            return EventHandled()
    is_in_progress = purchase.state is PurchaseState.PLACED and purchase.attempt == event.attempt
    if is_in_progress and purchase.placed_at is not None and now - purchase.placed_at < SETTLE_PERIOD:
        return EventPostponed(IN_PROGRESS_RETRY_SECONDS)
    outcome = process_attempt(context, purchase.id, event.attempt, now, event.payment_id, tried=True)
    _void_other_payment(context, event, event.attempt, now)
    return outcome


def _void_other_payment(context: CheckoutContext, event: ProviderEvent, attempt: int, now: Instant) -> None:
    """Void the event's payment if the order has chosen another one of the same attempt. One read."""
    purchase = context.purchases.read(event.purchase_id) if event.purchase_id else None
    if purchase is not None and purchase.payment is not None and purchase.payment.tries:
        void_orphaned_authorisation(context, purchase, attempt, event.payment_id, now)


def _differs_from_order(purchase: Purchase, event: ProviderEvent) -> bool:
    """Return whether an event names another amount or currency than the order's."""
    amount_and_currency = (event.amount, event.currency)
    return amount_and_currency not in {(None, None), (purchase.totals.total, purchase.currency)}


def _report_unmatched(event: ProviderEvent, message: str) -> None:
    count("unmatched_payment_events")
    logger.error(message, extra={"event": event.id, "provider_type": event.provider_type})
