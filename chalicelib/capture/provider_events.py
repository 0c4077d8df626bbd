"""A provider's events: what they are about is looked at anew, whatever they say. So their order does not matter."""

from __future__ import annotations

from typing import Final

from chalicelib.capture.process_payment import process_attempt
from chalicelib.errors import Conflict
from chalicelib.ids import log_reference
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import EventKind, ProviderEvent
from chalicelib.purchase import SETTLE_PERIOD, CheckoutContext, Purchase, PurchaseState
from chalicelib.refunds import record_external_refund
from chalicelib.telemetry import count, logger

IN_PROGRESS_RETRY_SECONDS: Final = 15
"""When to come again for an attempt that a worker is paying for at this moment."""


def store_event(context: CheckoutContext, event: ProviderEvent, now: Instant) -> str:
    """Keep an event for the worker: ``stored``, ``repeated``, or ``known`` where the order says as much already.

    1 WCU, and one read of an order that is named; an event that tells nothing new of a paid order costs the read alone.
    """
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


def process_event(context: CheckoutContext, provider: str, event_id: str, now: Instant) -> int | None:
    """Do what a stored event asks for. Safe to repeat. Answers in how many seconds to come again, if at all."""
    event = context.events.read(provider, event_id)
    if event is None:
        logger.error("no such event", extra={"event": event_id})
        return None
    if event.not_before is not None and now < event.not_before:
        return (event.not_before - now + SECOND - 1) // SECOND
    about = {"event": event.id, "provider_type": event.provider_type}
    match event.kind:
        case EventKind.PAYMENT:
            return _process_payment_event(context, event, now)
        case EventKind.DISPUTE:
            count("disputes")
            logger.error("a payment is disputed", extra=about)
        case EventKind.REFUND_FAILED:
            count("refunds_failed")
            logger.error("a refund failed at the provider", extra=about)
        case EventKind.REFUND:
            _record_external_refund(context, event, now)
    return None


def _process_payment_event(context: CheckoutContext, event: ProviderEvent, now: Instant) -> int | None:
    purchase = context.purchases.read(event.purchase_id) if event.purchase_id else None
    if purchase is None or event.attempt is None:
        count("unmatched_payment_events")
        logger.error("an event of no order of ours", extra={"event": event.id, "provider_type": event.provider_type})
        return None
    if purchase.attempt == event.attempt and _differs_from_order(purchase, event):
        count("payment_event_mismatches")
        logger.error(
            "an event differs from its order", extra={"event": event.id, "purchase": log_reference(purchase.id)}
        )
        return None
    is_in_progress = purchase.state is PurchaseState.PLACED and purchase.attempt == event.attempt
    if is_in_progress and purchase.placed_at is not None and now - purchase.placed_at < SETTLE_PERIOD:
        return IN_PROGRESS_RETRY_SECONDS
    return process_attempt(context, purchase.id, event.attempt, now, event.payment_id)


def _differs_from_order(purchase: Purchase, event: ProviderEvent) -> bool:
    """Whether an event tells of another amount or currency than the order's."""
    amount_and_currency = (event.amount, event.currency)
    return amount_and_currency not in {(None, None), (purchase.totals.total, purchase.currency)}


def _record_external_refund(context: CheckoutContext, event: ProviderEvent, now: Instant) -> None:
    """A refund that was made: in the provider's console, if it is none of ours."""
    known = context.gateway.purchase_of(event.payment_id) if event.payment_id else None
    if known is None or event.provider_refund_id is None or event.amount is None:
        count("unmatched_payment_events")
        logger.error("a refund of no order of ours", extra={"event": event.id})
        return
    try:
        record_external_refund(context, known[0], event.provider_refund_id, event.amount, event.refund_id, now)
    except Conflict as error:
        count("unmatched_refunds")
        logger.error("a refund that no order has room for", extra={"event": event.id, "reason": error.code})
