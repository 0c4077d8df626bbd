"""3-D Secure: wait for the buyer's authentication, and check what became of it."""

from __future__ import annotations

from chalicelib.capture.commit_stock import ensure_stock_committed
from chalicelib.capture.fail_attempt import fail_attempt, handle_decline, revert_line_to_hold, save_or_contend
from chalicelib.capture.take_payment import capture_payment
from chalicelib.checkout import revert_budgets_to_hold
from chalicelib.errors import WriteConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import ActionRequired, Authorised, Captured, Declined
from chalicelib.purchase import CheckoutContext, Purchase, PurchaseState, next_version
from chalicelib.telemetry import count

CHALLENGE_SECONDS = 600
"""How long a buyer has to prove who they are, their units held meanwhile."""
MIN_CHALLENGE_SECONDS = 60
"""Where units may not be held for that long any more, the attempt is declined instead."""
AUTHENTICATION_POLL_SECONDS = 30
"""How often the provider is asked about a buyer from whom no webhook tells."""


def check_authentication(context: CheckoutContext, purchase: Purchase, now: Instant) -> int | None:
    """Look what became of the buyer's part: go on, end it, or come again. A success after the deadline is voided."""
    payment = purchase.payment
    if payment is None or payment.deadline is None:
        raise WriteConflict("A purchase that waits for its buyer without a payment cannot go on.")
    found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=payment.provider_id)
    deadline_passed = now >= payment.deadline
    if isinstance(found, Declined):
        handle_decline(context, purchase, found, now)
    elif isinstance(found, Captured) or (isinstance(found, Authorised) and not deadline_passed):
        purchase, all_committed = ensure_stock_committed(context, purchase, now)
        if not all_committed:
            fail_attempt(context, purchase, "out_of_stock", found.provider_id, now)
            return None
        capture_payment(context, purchase, payment, found.provider_id, now)
    elif deadline_passed:
        count("authentications_expired")
        fail_attempt(context, purchase, "authentication_expired", payment.provider_id, now)
    else:
        seconds_left = (payment.deadline - now + SECOND - 1) // SECOND
        return min(seconds_left, AUTHENTICATION_POLL_SECONDS)
    return None


def await_authentication(
    context: CheckoutContext, purchase: Purchase, action: ActionRequired, now: Instant
) -> int | None:
    """Wait for the buyer: units held again until a deadline first, then the purchase written, at the next epoch."""
    expires_at = min([now // SECOND + CHALLENGE_SECONDS, *(line.max_hold_until for line in purchase.lines)])
    if expires_at < now // SECOND + MIN_CHALLENGE_SECONDS or purchase.payment is None:
        fail_attempt(context, purchase, "authentication_required", action.provider_id, now)
        return None
    lines = tuple(revert_line_to_hold(context, purchase, line, expires_at) for line in purchase.lines)
    discounts = revert_budgets_to_hold(context, purchase, expires_at)
    units = sum(hold.quantity for line in lines for hold in line.holds)
    if units != sum(line.quantity for line in lines) or discounts is None:
        fail_attempt(context, purchase, "out_of_stock", action.provider_id, now)
        return None
    payment = purchase.payment.model_copy(
        update={
            "token": None,
            "provider_id": action.provider_id,
            "action_url": action.url,
            "deadline": expires_at * SECOND,
            "failure": None,
        }
    )
    changes = {"state": PurchaseState.AWAITING_BUYER, "epoch": purchase.epoch + 1, "payment": payment}
    save_or_contend(context, next_version(purchase, now, **changes, lines=lines, discounts=discounts))
    count("challenges")
    return AUTHENTICATION_POLL_SECONDS
