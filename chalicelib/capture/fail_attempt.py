"""How an attempt ends without money: units held again first, nothing left reserved, and only then the purchase written.

In the other order, a doubled worker could sell units for an attempt that has ended, and strand them.
"""

from __future__ import annotations

from chalicelib.checkout import is_by_provider, record_decline, record_decline_of_drops, release_budgets
from chalicelib.errors import WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.payments import ActionRequired, Authorised, Captured, Declined
from chalicelib.purchase import (
    SETTLE_PERIOD,
    CheckoutContext,
    Line,
    Payment,
    Purchase,
    PurchaseState,
    Refused,
    next_version,
    order_ref_of,
    pool_of,
    revert_to_hold,
)
from chalicelib.telemetry import count, logger


def handle_decline(context: CheckoutContext, purchase: Purchase, declined: Declined, now: Instant) -> None:
    count("payments_declined")
    if is_by_provider(declined):
        record_decline(context, purchase, now)
    fail_attempt(context, purchase, declined.code, declined.provider_id, now)
    if is_by_provider(declined):
        record_decline_of_drops(context, purchase, now)


HOLD_AFTER_DECLINE_SECONDS = 300
"""How long units stay held for another try after an attempt ended without money."""


def fail_attempt(
    context: CheckoutContext, purchase: Purchase, failure: str, provider_id: str | None, now: Instant
) -> None:
    """End an attempt without money: units held again for a while, nothing left reserved, and the purchase open again.

    What its discounts had of budgets is returned, and taken anew by the next attempt.
    In this order: written first, a doubled worker could sell units for an attempt that has ended, and strand them.
    """
    expires_at = now // SECOND + HOLD_AFTER_DECLINE_SECONDS
    lines = tuple(revert_line_to_hold(context, purchase, line, expires_at) for line in purchase.lines)
    discounts = release_budgets(context, purchase, now)
    ensure_nothing_authorised(context, purchase, provider_id, now)
    payment = failed_payment(purchase, failure, provider_id)
    save_or_contend(
        context,
        next_version(purchase, now, state=PurchaseState.OPEN, payment=payment, lines=lines, discounts=discounts),
    )
    logger.info(
        "attempt ended", extra={"purchase": log_reference(purchase.id), "attempt": purchase.attempt, "failure": failure}
    )


def void_orphaned_authorisation(
    context: CheckoutContext, purchase: Purchase, attempt: int, provider_id: str | None, now: Instant
) -> None:
    """An attempt that is not the purchase's to pay any more must leave no authorisation standing."""
    if purchase.state is PurchaseState.PAID and purchase.attempt == attempt:
        return
    found = context.gateway.find(purchase.id, attempt, now=now, provider_id=provider_id)
    if isinstance(found, Captured):
        logger.error("captured without an order", extra={"purchase": log_reference(purchase.id), "attempt": attempt})
        count("captures_without_order")
    if isinstance(found, Authorised | ActionRequired):
        void_authorisation(context, found.provider_id, attempt, now)
        logger.warning(
            "voided a left-over authorisation", extra={"purchase": log_reference(purchase.id), "attempt": attempt}
        )
        count("authorisations_voided")


def revert_line_to_hold(context: CheckoutContext, purchase: Purchase, line: Line, expires_at: UnixSeconds) -> Line:
    """The line with its units held again, never beyond what it may hold; those that are gone are left out."""
    expires_at = min(expires_at, line.max_hold_until)
    pairs = [(pool_of(line), hold) for hold in line.holds]
    reverted = revert_to_hold(context.stock, order_ref_of(purchase), pairs, expires_at)
    holds = tuple(hold for hold in reverted if hold is not None)
    return line.model_copy(update={"holds": holds, "price_until": max(line.price_until, expires_at * SECOND)})


def save_or_contend(context: CheckoutContext, purchase: Purchase) -> None:
    """Put the next version. ``WriteConflict`` when another worker was first."""
    if isinstance(context.purchases.replace(purchase), Refused):
        raise WriteConflict("Another worker moved this purchase.")


def provider_payment_id(purchase: Purchase) -> str | None:
    """The provider's payment of the purchase, if it is known."""
    return purchase.payment.provider_id if purchase.payment else None


def visible_since(purchase: Purchase) -> Instant:
    """From when on whoever reads it finds this version: its write may have been under way while a function lives."""
    return purchase.updated_at + SETTLE_PERIOD


def void_authorisation(context: CheckoutContext, provider_id: str, attempt: int, now: Instant) -> None:
    """Give up what the provider reserved for an attempt. ``WriteConflict`` when it was captured meanwhile."""
    if not context.gateway.void(provider_id, attempt=attempt, now=now):
        raise WriteConflict("The attempt was captured by another worker.")


def ensure_nothing_authorised(
    context: CheckoutContext, purchase: Purchase, provider_id: str | None, now: Instant, since: Instant | None = None
) -> None:
    found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=provider_id, since=since)
    if isinstance(found, Captured):
        raise WriteConflict("The attempt was captured by another worker.")
    if isinstance(found, Authorised | ActionRequired):
        void_authorisation(context, found.provider_id, purchase.attempt, now)


def failed_payment(purchase: Purchase, failure: str, provider_id: str | None = None) -> Payment | None:
    """The payment of an attempt that ended without money."""
    changes: dict[str, object] = {"velocity_keys": (), "step_up": False}
    changes |= {"token": None, "provider_id": provider_id, "failure": failure, "action_url": None, "deadline": None}
    return purchase.payment.model_copy(update=changes) if purchase.payment else None
