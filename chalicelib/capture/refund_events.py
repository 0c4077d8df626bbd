"""Process the provider's events of refunds, disputes and fraud warnings: ask the provider, and record what is true."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from chalicelib.capture.fail_attempt import void_orphaned_authorisation
from chalicelib.capture.received_money import is_return_of_money
from chalicelib.errors import Conflict
from chalicelib.ids import log_reference
from chalicelib.instants import DAY, MINUTE, Instant
from chalicelib.payments import EventKind, OutcomeUnknownError, ProviderEvent, ProviderRefund, RefundStatus
from chalicelib.purchase import CheckoutContext
from chalicelib.refunds import record_dispute, record_provider_refund
from chalicelib.telemetry import count, logger

UNPAID_RETRY_SECONDS: Final = 900
"""When to process an event again whose order is not paid yet. Longer delays are beyond SQS."""
UNPAID_RETRY_PERIOD: Final[Instant] = 3 * DAY
"""How long an event waits for its order to be paid. Then an alarm says that it belongs to no order."""
UNKNOWN_RETRY_PERIOD: Final[Instant] = 15 * MINUTE
"""How long the queue repeats an event whose refund the provider does not tell yet, before the delay grows."""


@dataclass(frozen=True, slots=True)
class EventHandled:
    """Nothing is left to do for the event."""


@dataclass(frozen=True, slots=True)
class EventPostponed:
    """The event has to be processed again in ``retry_in_seconds``."""

    retry_in_seconds: int


def process_refund_event(context: CheckoutContext, event: ProviderEvent, now: Instant) -> EventHandled | EventPostponed:
    """Record the refund that an event names, as the provider has it now; without a name, every refund of its payment.

    A released hold, the rest of a part capture, and a refund of other software change nothing. So does the return of
    money that paid for no order. A return that failed is reported, because the shop has that money again. An event that
    comes before its order is paid waits for it.

    Raises:
        OutcomeUnknownError: the provider did not answer; try again.
        WriteConflict: another worker has changed the purchase; try again.
    """
    outcome: EventHandled | EventPostponed = EventHandled()
    try:
        found = list(_refunds_at_provider(context, event, now))
    except OutcomeUnknownError as error:
        return _postpone_unknown(event, error, now)
    for made in found:
        if is_return_of_money(made.refund_id) and made.status is RefundStatus.FAILED:
            _report_failed_return(context, made, now)
    made_refunds = [made for made in found if not is_return_of_money(made.refund_id)]
    if not made_refunds:
        count("payment_events_ignored")
    for made in made_refunds:
        recorded = _record(context, event, made.payment_id, _recorder_of(context, made, now), now)
        outcome = recorded if isinstance(recorded, EventPostponed) else outcome
    return outcome


def _postpone_unknown(event: ProviderEvent, error: OutcomeUnknownError, now: Instant) -> EventHandled | EventPostponed:
    """Postpone an event longer as it ages, or end it. The nightly comparison finds what moved later."""
    age = now - (event.received_at or now)
    if age < UNKNOWN_RETRY_PERIOD:
        raise error
    if age < UNPAID_RETRY_PERIOD:
        return EventPostponed(UNPAID_RETRY_SECONDS)
    count("unmatched_refunds")
    logger.error("provider's refund not recorded", extra={"event": event.id, "reason": str(error)})
    return EventHandled()


def _refunds_at_provider(context: CheckoutContext, event: ProviderEvent, now: Instant) -> Iterable[ProviderRefund]:
    if event.provider_refund_id is not None:
        made = context.gateway.find_refund(event.provider_refund_id, now=now)
        return () if made is None else (made,)
    if event.payment_id is None or context.gateway.purchase_of(event.payment_id) is None:
        return ()
    return context.gateway.refunds_of(event.payment_id, now=now)


def _report_failed_return(context: CheckoutContext, made: ProviderRefund, now: Instant) -> None:
    """Report money of an ended attempt that is with the shop again, unless another refund has returned it."""
    attempt = context.gateway.purchase_of(made.payment_id) if made.payment_id is not None else None
    purchase = context.purchases.read(attempt[0]) if attempt is not None else None
    if attempt is not None and purchase is not None:
        void_orphaned_authorisation(context, purchase, attempt[1], made.payment_id, now)


def _recorder_of(context: CheckoutContext, made: ProviderRefund, now: Instant) -> Callable[[str], object]:
    return lambda purchase_id: record_provider_refund(context, purchase_id, made, now)


def process_dispute_event(
    context: CheckoutContext, event: ProviderEvent, now: Instant
) -> EventHandled | EventPostponed:
    """Record the dispute that an event names, as the provider has it now.

    Raises:
        OutcomeUnknownError: the provider did not answer; try again.
        WriteConflict: another worker has changed the purchase; try again.
    """
    dispute_id = event.dispute_id or event.provider_refund_id  # where an older version stored it
    dispute = context.gateway.find_dispute(dispute_id, now=now) if dispute_id is not None else None
    if dispute is None:
        count("payment_events_ignored")
        return EventHandled()
    return _record(
        context,
        event,
        dispute.payment_id,
        lambda purchase_id: record_dispute(context, purchase_id, dispute.id, now),
        now,
    )


def _record(
    context: CheckoutContext,
    event: ProviderEvent,
    payment_id: str | None,
    record: Callable[[str], object],
    now: Instant,
) -> EventHandled | EventPostponed:
    """Record a fact at the order that its payment is for, or postpone the event until the order is paid."""
    attempt = context.gateway.purchase_of(payment_id) if payment_id is not None else None
    if attempt is None:
        count("payment_events_ignored")
        return EventHandled()
    extra = {"event": event.id, "provider_type": event.provider_type, "purchase": log_reference(attempt[0])}
    try:
        record(attempt[0])
    except Conflict as error:
        is_early = error.code == "not_paid" and now - (event.received_at or now) < UNPAID_RETRY_PERIOD
        if is_early:
            return EventPostponed(UNPAID_RETRY_SECONDS)
        is_refund = event.kind is not EventKind.DISPUTE
        if error.code == "other_payment" and is_refund:  # a person refunded a payment that no order has
            logger.warning("refund of a payment without an order", extra=extra)
            return EventHandled()
        count("unmatched_refunds")
        logger.error("provider's refund or dispute not recorded", extra=extra | {"reason": error.code})
    return EventHandled()


def report_fraud_warning(context: CheckoutContext, event: ProviderEvent) -> None:
    """Count and log an early fraud warning: a dispute is likely, and a refund now would avoid it."""
    attempt = context.gateway.purchase_of(event.payment_id) if event.payment_id is not None else None
    if attempt is None:
        count("payment_events_ignored")
        return
    count("fraud_warnings")
    logger.warning("early fraud warning", extra={"event": event.id, "purchase": log_reference(attempt[0])})
