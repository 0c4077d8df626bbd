"""End an attempt without money: revert its units to holds, leave nothing authorised, and only then reopen the purchase.

In another order a doubled worker could commit units for an attempt that has ended, and strand them.
"""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import Failed, look_up, save_next_version
from chalicelib.capture.received_money import is_returned, report_kept_money
from chalicelib.checkout import is_by_provider, record_decline, record_decline_of_drops, release_budgets
from chalicelib.errors import WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import HOUR, SECOND, Instant, UnixSeconds
from chalicelib.payments import ActionRequired, Authorisation, Authorised, Captured, Declined, NotCertainError
from chalicelib.purchase import (
    CheckoutContext,
    Line,
    Payment,
    Purchase,
    PurchaseState,
    order_ref_of,
    pool_of,
    revert_to_hold,
)
from chalicelib.telemetry import count, logger

HOLD_AFTER_DECLINE_SECONDS: Final = 300
"""How long units stay held for another attempt after one ended without money."""
LATE_PAYMENT: Final[Instant] = HOUR
"""How long after the end of an attempt a call that was under way may still have its effect."""


def handle_decline(context: CheckoutContext, purchase: Purchase, declined: Declined, now: Instant) -> Failed:
    """End a declined attempt, and count the decline if the provider made it for a reason of the buyer's.

    The buyer's velocity keys are counted before the attempt ends, so that a crash in between cannot lose the count.
    Drops are counted afterwards, by the one worker whose write ended the attempt. A refusal of the request itself is no
    decline: the gateway counts it, for an alarm. A decline that names no payment is not looked up again: the provider
    has none of the attempt.
    """
    if not declined.refused:
        count("payments_declined")
    else:
        logger.error("payment refused", extra={"purchase": log_reference(purchase.id), "reason": declined.code})
    if is_by_provider(declined):
        record_decline(context, purchase, now)
    is_without_payment = declined.provider_id is None
    failed = fail_attempt(
        context, purchase, declined.code, declined.provider_id, now, is_without_payment=is_without_payment
    )
    if is_by_provider(declined):
        record_decline_of_drops(context, purchase, now)
    return failed


def fail_attempt(
    context: CheckoutContext,
    purchase: Purchase,
    failure: str,
    provider_id: str | None,
    now: Instant,
    *,
    kept: Captured | None = None,
    is_without_payment: bool = False,
) -> Failed:
    """End an attempt without money and reopen the purchase for another one.

    Units stay held for ``HOLD_AFTER_DECLINE_SECONDS``. Shares of discount budgets are released; the next attempt
    holds them again. Safe to repeat. ``kept``: a payment whose money was reported, so that it is no hindrance.
    ``is_without_payment``: the provider said for certain that it has no payment of the attempt, so it is not asked.

    Raises:
        WriteConflict: another worker has captured the attempt or changed the purchase.
        OutcomeUnknownError: the provider did not answer.
    """
    expires_at = now // SECOND + HOLD_AFTER_DECLINE_SECONDS
    lines = tuple(revert_line_to_hold(context, purchase, line, expires_at) for line in purchase.lines)
    discounts = release_budgets(context, purchase, now)
    if not is_without_payment:
        ensure_nothing_authorised(context, purchase, provider_id, now, kept=kept)
    payment = failed_payment(purchase, failure, provider_id)
    changes = {"state": PurchaseState.OPEN, "payment": payment, "lines": lines, "discounts": discounts}
    save_next_version(context, purchase, now, **changes)
    extra = {"purchase": log_reference(purchase.id), "attempt": purchase.attempt, "failure": failure}
    logger.info("attempt failed", extra=extra)
    return Failed(failure)


def failed_payment(purchase: Purchase, failure: str, provider_id: str | None = None) -> Payment | None:
    """Return the payment of an attempt that ended without money: no token, no velocity keys, nothing to wait for."""
    changes: dict[str, object] = {"velocity_keys": (), "step_up": False}
    changes |= {"token": None, "provider_id": provider_id, "failure": failure, "action_url": None, "deadline": None}
    return purchase.payment.model_copy(update=changes) if purchase.payment else None


def revert_line_to_hold(context: CheckoutContext, purchase: Purchase, line: Line, expires_at: UnixSeconds) -> Line:
    """Revert a line's units to holds until ``expires_at``, or until ``max_hold_until`` where that is earlier.

    The returned line names only the holds that are still there.
    """
    expires_at = min(expires_at, line.max_hold_until)
    named = [(pool_of(line), hold) for hold in line.holds]
    reverted = revert_to_hold(context.stock, order_ref_of(purchase), named, expires_at)
    holds = tuple(hold for hold in reverted if hold is not None)
    return line.model_copy(update={"holds": holds, "price_until": max(line.price_until, expires_at * SECOND)})


def void_orphaned_authorisation(
    context: CheckoutContext, purchase: Purchase, attempt: int, provider_id: str | None, now: Instant
) -> None:
    """Void what the provider reserves for an attempt that has ended, or by a payment that its order has not chosen.

    An attempt that was begun again can have two payments: its first request may have its effect late. ``provider_id``
    is the payment that a webhook named. Money that such a payment captured raises an alarm; a person has to refund it.

    Without ``provider_id``, what begins later than :data:`LATE_PAYMENT` after the end may not be found, nor what the
    provider cannot look up for certain. The event of such a payment names it, and its hold expires by itself.
    """
    chosen = purchase.payment.provider_id if purchase.payment else None
    is_running = purchase.state not in {PurchaseState.OPEN, PurchaseState.CANCELLED}
    is_chosen = chosen is not None and provider_id == chosen  # its metadata may name another attempt
    if is_running and (is_chosen or (purchase.attempt == attempt and None in {chosen, provider_id})):
        return
    began_at = purchase.placed_at if attempt == purchase.attempt else purchase.created_at
    since = min(now, purchase.updated_at + LATE_PAYMENT)
    try:
        found = context.gateway.find(
            purchase.id, attempt, now=now, provider_id=provider_id, since=since, began_at=began_at
        )
    except NotCertainError as error:
        extra = {"purchase": log_reference(purchase.id), "attempt": attempt, "reason": str(error)}
        logger.warning("ended attempt not looked up for certain", extra=extra)
        return
    if isinstance(found, Captured) and not is_returned(found):
        report_kept_money(purchase, attempt, found)
    if isinstance(found, Authorised | ActionRequired):
        void_authorisation(context, found.provider_id, attempt, now)
        extra = {"purchase": log_reference(purchase.id), "attempt": attempt}
        logger.warning("orphaned authorisation voided", extra=extra)
        count("authorisations_voided")


def ensure_nothing_authorised(
    context: CheckoutContext,
    purchase: Purchase,
    provider_id: str | None,
    now: Instant,
    since: Instant | None = None,
    kept: Captured | None = None,
) -> None:
    """Void what the provider reserves for the purchase's attempt. ``since`` as in :meth:`Gateway.find`.

    ``kept``: a payment whose money was reported, so that it is no hindrance.

    An attempt that was begun again may have a second payment, which only a look-up without an id finds.

    Raises:
        WriteConflict: another worker has captured the attempt.
        OutcomeUnknownError: the provider did not answer.
    """
    void_found(context, purchase, look_up(context, purchase, provider_id, now, since), now, kept)
    if provider_id is not None and purchase.payment is not None and purchase.payment.tries:
        void_found(context, purchase, look_up(context, purchase, None, now), now, kept)


def void_found(
    context: CheckoutContext,
    purchase: Purchase,
    found: Authorisation | Captured | None,
    now: Instant,
    kept: Captured | None = None,
) -> None:
    """Void what the provider was found to reserve for the purchase's attempt.

    Money that is refunded is no hindrance, nor is that of ``kept``, which was reported.

    Raises:
        WriteConflict: another worker has captured the attempt.
    """
    is_reported = kept is not None and isinstance(found, Captured) and found.provider_id == kept.provider_id
    if isinstance(found, Captured) and not is_reported and not is_returned(found):
        raise _captured_meanwhile()
    if isinstance(found, Authorised | ActionRequired):
        void_authorisation(context, found.provider_id, purchase.attempt, now)


def void_authorisation(context: CheckoutContext, provider_id: str, attempt: int, now: Instant) -> None:
    """Void what the provider reserves for an attempt.

    Raises:
        WriteConflict: another worker has captured the attempt.
    """
    if not context.gateway.void(provider_id, attempt=attempt, now=now):
        raise _captured_meanwhile()


def _captured_meanwhile() -> WriteConflict:
    return WriteConflict("Another worker has captured this attempt.")
