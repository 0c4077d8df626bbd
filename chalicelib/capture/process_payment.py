"""Pay for one attempt: commit its stock, ask the provider for the money, mark the purchase paid.

The worker may run twice at once, late, or after a crash at any step; the end is that of one run. A schedule search
found the order of the steps (infra/docs/decisions/0040-stock-before-payment.md, invariants 5a and 5b):

- Stock is committed before money is asked for.
- Units are reverted to holds before an attempt is ended.
- An authorisation found means an earlier run of this attempt, so its stock is committed again at a higher epoch before
  the capture.
- An authorisation whose answer is unknown is looked up before it is begun again, under another key. The attempt can
  then have two payments, so the order names the one that it will capture, before it captures.
"""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import AttemptOutcome, Superseded, look_up, payment_of, save_next_version, visible_since
from chalicelib.capture.commit_stock import OutOfStock, ensure_stock_committed, with_next_epoch
from chalicelib.capture.fail_attempt import fail_attempt, handle_decline, void_orphaned_authorisation
from chalicelib.capture.order_holds import process_on_hold
from chalicelib.capture.payment_deadline import end_attempt_early, end_overdue_order
from chalicelib.capture.take_payment import capture_payment, commit_and_capture
from chalicelib.capture.three_d_secure import await_authentication, check_authentication
from chalicelib.checkout import exceeds_velocity_limit
from chalicelib.ids import checkout_id, log_reference
from chalicelib.instants import HOUR, MINUTE, Instant
from chalicelib.payments import (
    NOT_PROVED,
    ActionRequired,
    Authorisation,
    AuthorisationRequest,
    Authorised,
    Captured,
    Declined,
    OutcomeUnknownError,
    unless_unproved,
)
from chalicelib.purchase import CheckoutContext, Payment, Purchase, PurchaseState
from chalicelib.telemetry import logger

PAYMENT_PERIOD: Final[Instant] = 15 * MINUTE
"""How long an order may stay placed once the provider was asked for its payment."""
LINE_PERIOD: Final[Instant] = 2 * HOUR
"""How long an order may wait in line until the provider is asked."""


def process_attempt(
    context: CheckoutContext,
    purchase_id: str,
    attempt: int,
    now: Instant,
    provider_id: str | None = None,
    *,
    tried: bool = False,
) -> AttemptOutcome:
    """Bring one attempt as far as it goes now: paid, failed, on hold, or waiting for the buyer.

    ``provider_id`` is the payment that a webhook named; it spares a search that lags. ``tried``: the message says that
    an earlier run began the payment, so that the shorter deadline holds. An attempt that has ended costs one read, and
    the call that voids what it left authorised.

    Raises:
        OutcomeUnknownError: the provider did not answer; try again.
        ProviderBusyError: the provider carried nothing out; try again.
        WriteConflict: another worker has changed the purchase; try again.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        logger.error("purchase not found", extra={"purchase": log_reference(purchase_id)})
        return Superseded()
    match purchase.state if purchase.attempt == attempt else None:
        case PurchaseState.PLACED if _is_overdue(purchase, now, tried=tried):
            return end_overdue_order(context, purchase, provider_id, now)
        case PurchaseState.PLACED:
            return _pay_order(context, purchase, provider_id, now)
        case PurchaseState.AWAITING_BUYER:
            return check_authentication(context, purchase, now)
        case PurchaseState.ON_HOLD:
            return process_on_hold(context, purchase, now)
        case _:
            void_orphaned_authorisation(context, purchase, attempt, provider_id, now)
            return Superseded()


def _is_overdue(purchase: Purchase, now: Instant, *, tried: bool) -> bool:
    """Return whether a placed order has to end: ``PAYMENT_PERIOD`` after placing once tried, else ``LINE_PERIOD``.

    The time on hold does not count: the period of a released order begins with its release. An order without an amount
    is never overdue, because it asks nobody.
    """
    payment = purchase.payment
    begun = payment.released_at or purchase.placed_at if payment else None
    if payment is None or begun is None or purchase.totals.total == 0:
        return False
    return now - begun >= (PAYMENT_PERIOD if tried or payment.tries else LINE_PERIOD)


def _pay_order(context: CheckoutContext, purchase: Purchase, provider_id: str | None, now: Instant) -> AttemptOutcome:
    """Pay for a placed order.

    The usual path costs a batched read of its buckets, two calls to the provider, and one write.
    """
    stock = ensure_stock_committed(context, purchase, now)
    if isinstance(stock, OutOfStock):
        return fail_attempt(context, stock.purchase, "out_of_stock", None, now)
    purchase, payment = stock.purchase, payment_of(stock.purchase)
    if purchase.totals.total == 0:  # discounts took all of it off: the provider is not asked
        return capture_payment(context, purchase, None, now)
    if payment.failure is None and payment.released_by is not None:
        found = unless_unproved(look_up(context, purchase, payment.provider_id, now))
        if isinstance(found, Authorised | Captured):
            return capture_payment(context, purchase, found.provider_id, now)
        if isinstance(found, Declined) and found.code == NOT_PROVED:
            return handle_decline(context, purchase, found, now)
    elif payment.failure is not None or exceeds_velocity_limit(context, purchase, now):
        return end_attempt_early(context, purchase, "too_many_attempts", now)
    if payment.token is None:  # the buyer has authenticated before, and that authorisation is gone
        return fail_attempt(context, purchase, "authorisation_expired", payment.provider_id, now)
    return _ask_provider(context, purchase, payment, payment.token, provider_id, now)


def _ask_provider(
    context: CheckoutContext, purchase: Purchase, payment: Payment, token: str, provider_id: str | None, now: Instant
) -> AttemptOutcome:
    """Authorise, then end a declined attempt, wait for the buyer, or capture.

    An attempt with several tries names the payment that it captures first.
    """
    authorisation = _begin_payment(context, purchase, payment, token, provider_id, now)
    if isinstance(authorisation, Declined):
        return handle_decline(context, purchase, authorisation, now)
    if isinstance(authorisation, ActionRequired):
        return await_authentication(context, purchase, authorisation, now)
    if payment.tries:
        chosen = payment.model_copy(update={"provider_id": authorisation.provider_id})
        purchase = save_next_version(context, purchase, now, epoch=purchase.epoch + 1, payment=chosen)
        return commit_and_capture(context, purchase, authorisation.provider_id, now)
    if isinstance(authorisation, Captured) or authorisation.already_existed:
        purchase = with_next_epoch(context, purchase, now)
        return commit_and_capture(context, purchase, authorisation.provider_id, now)
    return capture_payment(context, purchase, authorisation.provider_id, now)


def _begin_payment(
    context: CheckoutContext, purchase: Purchase, payment: Payment, token: str, provider_id: str | None, now: Instant
) -> Authorisation | Captured:
    """Authorise the payment. If an earlier try has an unknown outcome, look it up first, and then begin another try.

    An unknown outcome is counted in the purchase, so that the next run looks it up. A worker with the version before
    may still ask the provider under the earlier key. Its request has landed when the look-up is certain.

    Raises:
        OutcomeUnknownError: the provider did not answer, or the look-up is not certain yet.
    """
    if payment.tries:
        known, since = payment.provider_id or provider_id, visible_since(purchase)
        found = look_up(context, purchase, known, now, since)
        if found is not None:
            return unless_unproved(found)
    try:
        return context.gateway.authorise(_authorisation_request(context, purchase, payment, token), now=now)
    except OutcomeUnknownError:
        tried = payment.model_copy(update={"tries": payment.tries + 1})
        save_next_version(context, purchase, now, payment=tried)
        raise


def _authorisation_request(
    context: CheckoutContext, purchase: Purchase, payment: Payment, token: str
) -> AuthorisationRequest:
    return AuthorisationRequest(
        purchase_id=purchase.id,
        attempt=purchase.attempt,
        amount=purchase.totals.total,
        currency=purchase.currency,
        token=token,
        metadata=_metadata(purchase),
        requested_at=purchase.placed_at or purchase.updated_at,
        tries=payment.tries,
        step_up=payment.step_up,
        return_url=context.return_url.replace("{checkout}", checkout_id(purchase.id)),
    )


def _metadata(purchase: Purchase) -> dict[str, str]:
    """Return what the provider stores with the payment: ids only, so that the payment can be found by them."""
    about = {"show": purchase.show_id, "channel": purchase.channel}
    fields = {"purchase": purchase.id, "reference": log_reference(purchase.id), **about}
    return {name: value for name, value in fields.items() if value}
