"""Pay for one attempt: commit its stock, ask the provider for the money, mark the purchase paid.

The worker may run twice at once, late, or after a crash at any step; the end is that of one run. A schedule search
found the order of the steps (infra/docs/decisions/0040-stock-before-payment.md, invariants 5a and 5b):

- Stock is committed before money is asked for.
- Units are reverted to holds before an attempt is ended.
- An authorisation found means an earlier run of this attempt, so its stock is committed again at a higher epoch before
  the capture.
"""

from __future__ import annotations

from chalicelib.capture.attempt import AttemptOutcome, Superseded, payment_of, save_next_version, visible_since
from chalicelib.capture.commit_stock import OutOfStock, ensure_stock_committed, with_next_epoch
from chalicelib.capture.fail_attempt import fail_attempt, handle_decline, void_found, void_orphaned_authorisation
from chalicelib.capture.order_holds import process_on_hold
from chalicelib.capture.take_payment import capture_payment, commit_and_capture
from chalicelib.capture.three_d_secure import await_authentication, check_authentication
from chalicelib.checkout import exceeds_velocity_limit
from chalicelib.ids import checkout_id, log_reference
from chalicelib.instants import Instant
from chalicelib.payments import ActionRequired, AuthorisationRequest, Authorised, Captured, Declined
from chalicelib.purchase import CheckoutContext, Payment, Purchase, PurchaseState
from chalicelib.telemetry import logger


def process_attempt(
    context: CheckoutContext, purchase_id: str, attempt: int, now: Instant, provider_id: str | None = None
) -> AttemptOutcome:
    """Bring one attempt as far as it goes now: paid, failed, on hold, or waiting for the buyer.

    ``provider_id`` is the payment that a webhook named; it spares a search that lags. An attempt that has ended costs
    one read, and the call that voids what it left authorised.

    Raises:
        OutcomeUnknownError: the provider did not answer; try again.
        WriteConflict: another worker has changed the purchase; try again.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        logger.error("purchase not found", extra={"purchase": log_reference(purchase_id)})
        return Superseded()
    match purchase.state if purchase.attempt == attempt else None:
        case PurchaseState.PLACED:
            return _pay_order(context, purchase, now)
        case PurchaseState.AWAITING_BUYER:
            return check_authentication(context, purchase, now)
        case PurchaseState.ON_HOLD:
            return process_on_hold(context, purchase, now)
        case _:
            void_orphaned_authorisation(context, purchase, attempt, provider_id, now)
            return Superseded()


def _pay_order(context: CheckoutContext, purchase: Purchase, now: Instant) -> AttemptOutcome:
    """Pay for a placed order.

    The usual path costs a batched read of its buckets, two calls to the provider, and one write.
    """
    stock = ensure_stock_committed(context, purchase, now)
    if isinstance(stock, OutOfStock):
        return fail_attempt(context, stock.purchase, "out_of_stock", None, now)
    purchase, payment = stock.purchase, payment_of(stock.purchase)
    if purchase.totals.total == 0:  # discounts took all of it off: the provider is not asked
        return capture_payment(context, purchase, None, now)
    if payment.released_by is not None:
        found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=payment.provider_id)
        if isinstance(found, Authorised | Captured):
            return capture_payment(context, purchase, found.provider_id, now)
    elif payment.failure is not None or exceeds_velocity_limit(context, purchase, now):
        return _refuse_attempt(context, purchase, now)
    if payment.token is None:  # the buyer has authenticated before, and that authorisation is gone
        return fail_attempt(context, purchase, "authorisation_expired", payment.provider_id, now)
    request = _authorisation_request(context, purchase, payment, payment.token)
    authorisation = context.gateway.authorise(request, now=now)
    if isinstance(authorisation, Declined):
        return handle_decline(context, purchase, authorisation, now)
    if isinstance(authorisation, ActionRequired):
        return await_authentication(context, purchase, authorisation, now)
    if authorisation.already_existed:
        purchase = with_next_epoch(context, purchase, now)
        return commit_and_capture(context, purchase, authorisation.provider_id, now)
    return capture_payment(context, purchase, authorisation.provider_id, now)


def _refuse_attempt(context: CheckoutContext, purchase: Purchase, now: Instant) -> AttemptOutcome:
    """End an attempt that is one too many, although another worker may be asking the provider for it at this moment.

    The refusal is written first. A worker that reserves money afterwards sees it before it captures. Money that another
    worker reserved before is found here. If it is captured, the order becomes paid; if it is only authorised, it is
    voided before any unit moves.
    """
    payment = payment_of(purchase)
    if payment.failure is None:
        payment = payment.model_copy(update={"failure": "too_many_attempts"})
        purchase = save_next_version(context, purchase, now, payment=payment)
    since, provider_id = visible_since(purchase), payment.provider_id
    found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=provider_id, since=since)
    if isinstance(found, Captured):
        return capture_payment(context, purchase, found.provider_id, now)
    void_found(context, purchase, found, now)
    return fail_attempt(context, purchase, "too_many_attempts", provider_id, now)


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
