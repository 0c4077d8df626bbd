"""3-D Secure: wait for the buyer's authentication, and check its result.

The units are held until a deadline and expire by themselves. The purchase waits at the next epoch, so that stock and
provider refuse what an older worker still sends for it.
"""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import (
    AttemptOutcome,
    AwaitingAuthentication,
    look_up,
    payment_of,
    save_next_version,
    seconds_until,
)
from chalicelib.capture.commit_stock import names_all_units
from chalicelib.capture.fail_attempt import fail_attempt, handle_decline, revert_line_to_hold
from chalicelib.capture.take_payment import commit_and_capture
from chalicelib.checkout import revert_budgets_to_hold
from chalicelib.errors import InvariantBroken
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import ActionRequired, Authorised, Captured, Declined, unless_unproved
from chalicelib.purchase import CheckoutContext, Purchase, PurchaseState
from chalicelib.telemetry import count

CHALLENGE_SECONDS: Final = 600
"""How long a buyer has to authenticate. The units stay held meanwhile."""
MIN_CHALLENGE_SECONDS: Final = 60
"""If the units may be held for less than this, the attempt fails at once."""
AUTHENTICATION_POLL_SECONDS: Final = 30
"""How often the worker asks the provider while no webhook arrives."""


def await_authentication(
    context: CheckoutContext, purchase: Purchase, action: ActionRequired, now: Instant
) -> AttemptOutcome:
    """Hold the units until a deadline, then write the purchase as waiting for its buyer, at the next epoch.

    The attempt fails with ``authentication_required`` if too little time is left, with ``out_of_stock`` if units or a
    share of a budget are gone.

    Raises:
        WriteConflict: another worker has changed the purchase.
    """
    expires_at = min([now // SECOND + CHALLENGE_SECONDS, *(line.max_hold_until for line in purchase.lines)])
    if expires_at < now // SECOND + MIN_CHALLENGE_SECONDS:
        return fail_attempt(context, purchase, "authentication_required", action.provider_id, now)
    lines = tuple(revert_line_to_hold(context, purchase, line, expires_at) for line in purchase.lines)
    discounts = revert_budgets_to_hold(context, purchase, expires_at)
    if discounts is None or not names_all_units(lines):
        return fail_attempt(context, purchase, "out_of_stock", action.provider_id, now)
    payment = payment_of(purchase).model_copy(
        update={
            "token": None,
            "provider_id": action.provider_id,
            "action_url": action.url,
            "deadline": expires_at * SECOND,
            "failure": None,
        }
    )
    changes = {"state": PurchaseState.AWAITING_BUYER, "epoch": purchase.epoch + 1, "payment": payment}
    save_next_version(context, purchase, now, **changes, lines=lines, discounts=discounts)
    count("challenges")
    return AwaitingAuthentication(AUTHENTICATION_POLL_SECONDS)


def check_authentication(context: CheckoutContext, purchase: Purchase, now: Instant) -> AttemptOutcome:
    """Ask the provider for the result: capture, fail, or wait on.

    An authentication that succeeds at the deadline or later is voided. Money captured by an earlier run always becomes
    a paid order.
    """
    payment = payment_of(purchase)
    if payment.deadline is None:
        raise InvariantBroken("A purchase that waits for its buyer has no deadline.")
    found = unless_unproved(look_up(context, purchase, payment.provider_id, now))
    deadline_passed = now >= payment.deadline
    if isinstance(found, Declined):
        return handle_decline(context, purchase, found, now)
    if isinstance(found, Captured) or (isinstance(found, Authorised) and not deadline_passed):
        return commit_and_capture(context, purchase, found.provider_id, now)
    if deadline_passed:
        count("authentications_expired")
        return fail_attempt(context, purchase, "authentication_expired", payment.provider_id, now)
    return AwaitingAuthentication(min(seconds_until(payment.deadline, now), AUTHENTICATION_POLL_SECONDS))
