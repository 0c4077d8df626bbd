"""The deadline of a placed order: afterwards its payment is looked up, and the order is paid or open again."""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import AttemptOutcome, look_up, payment_of, save_next_version, visible_since
from chalicelib.capture.commit_stock import with_next_epoch
from chalicelib.capture.fail_attempt import fail_attempt, void_found
from chalicelib.capture.take_payment import commit_and_capture
from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant
from chalicelib.payments import Captured, OutcomeUnknownError, ProviderBusyError
from chalicelib.purchase import CheckoutContext, Purchase
from chalicelib.telemetry import count

TIMED_OUT: Final = "payment_timed_out"
"""The failure of a payment that the provider did not confirm in time."""


def end_overdue_order(
    context: CheckoutContext, purchase: Purchase, named_id: str | None, now: Instant
) -> AttemptOutcome:
    """End the attempt of an overdue order: paid if its money was captured, else open again.

    ``named_id`` is the payment that a webhook named. If it captured the money, the order is paid without a look-up.

    While the provider is silent the order stays placed, and the worker asks again each minute. The metric
    ``orders_overdue`` counts that, and an alarm reports it.

    Raises:
        OutcomeUnknownError: the provider does not say for certain yet.
        WriteConflict: another worker has changed the purchase.
    """
    try:
        return end_attempt_early(context, purchase, TIMED_OUT, now, named_id)
    except (OutcomeUnknownError, ProviderBusyError, WriteConflict):
        count("orders_overdue")
        raise


def end_attempt_early(
    context: CheckoutContext, purchase: Purchase, failure: str, now: Instant, named_id: str | None = None
) -> AttemptOutcome:
    """End an attempt although another worker may be asking the provider for it at this moment.

    The failure is written first. A worker that reserves money afterwards sees it before it captures. Money that another
    worker reserved before is found here. If it is captured, the order becomes paid; if it is only authorised, it is
    voided before any unit moves.

    Raises:
        OutcomeUnknownError: the provider does not say for certain yet.
        WriteConflict: another worker has changed the purchase.
    """
    payment = payment_of(purchase)
    if payment.failure is None:
        payment = payment.model_copy(update={"failure": failure})
        purchase = save_next_version(context, purchase, now, payment=payment)
    since, provider_id = visible_since(purchase), payment.provider_id
    found = look_up(context, purchase, named_id, now) if named_id is not None and provider_id is None else None
    if not isinstance(found, Captured):
        found = look_up(context, purchase, provider_id, now, since)
    if isinstance(found, Captured):
        return commit_and_capture(context, with_next_epoch(context, purchase, now), found.provider_id, now)
    void_found(context, purchase, found, now)
    failed = fail_attempt(context, purchase, payment.failure or failure, provider_id, now)
    if payment.failure == TIMED_OUT:
        count("payments_timed_out")
    return failed
