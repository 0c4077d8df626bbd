"""Capture: the worker that makes sure of the goods, asks for the money, and marks the purchase paid.

Where the provider wants to hear from the buyer first (3-D Secure), the units are held again until a deadline, which
lapses by itself, and the purchase waits at the next epoch: whatever was sent for it before is refused from then on.
It may run twice at once, late, or after dying anywhere; the end is that of one run. The order of its steps is the
outcome of a schedule search (DESIGN §5): goods before money, units held again before an attempt is ended, an
authorisation found means an earlier run of this attempt, so the units are sold anew at a higher epoch before capture.
"""

from __future__ import annotations

from chalicelib.capture.commit_stock import ensure_stock_committed, with_next_epoch
from chalicelib.capture.fail_attempt import (
    fail_attempt,
    handle_decline,
    provider_payment_id,
    save_or_contend,
    visible_since,
    void_authorisation,
    void_orphaned_authorisation,
)
from chalicelib.capture.order_holds import void_and_cancel
from chalicelib.capture.take_payment import capture_payment, mark_paid
from chalicelib.capture.three_d_secure import await_authentication, check_authentication
from chalicelib.checkout import exceeds_velocity_limit
from chalicelib.errors import WriteConflict
from chalicelib.ids import checkout_id, log_reference
from chalicelib.instants import Instant
from chalicelib.payments import ActionRequired, Authorisation, AuthorisationRequest, Authorised, Captured, Declined
from chalicelib.purchase import CheckoutContext, Payment, Purchase, PurchaseState, next_version
from chalicelib.telemetry import logger


def process_attempt(
    context: CheckoutContext, purchase_id: str, attempt: int, now: Instant, provider_id: str | None = None
) -> int | None:
    """Bring one attempt to its end: paid, or open again with the reason. Nothing to do when it has ended.

    ``provider_id`` is the payment that a webhook was about, which spares a search that lags.

    Plain path: one read of the purchase, a batched read of its buckets, authorise, capture, one write. Answers in how
    many seconds to come again, when the attempt waits for the buyer.
    Raises when it must be tried again: the provider's outcome is unknown, or another worker came in between.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        logger.error("no such purchase", extra={"purchase": log_reference(purchase_id)})
    elif purchase.attempt != attempt:
        void_orphaned_authorisation(context, purchase, attempt, provider_id, now)
    elif purchase.state is PurchaseState.PLACED:
        return _process_placed(context, purchase, now)
    elif purchase.state is PurchaseState.AWAITING_BUYER:
        return check_authentication(context, purchase, now)
    elif purchase.state is PurchaseState.ON_HOLD:
        _process_on_hold(context, purchase, now)
    else:
        void_orphaned_authorisation(context, purchase, attempt, provider_id, now)
    return None


def _process_placed(context: CheckoutContext, purchase: Purchase, now: Instant) -> int | None:
    purchase, all_committed = ensure_stock_committed(context, purchase, now)
    if not all_committed:
        fail_attempt(context, purchase, "out_of_stock", None, now)
        return None
    return _authorise(context, purchase, now)


def _process_on_hold(context: CheckoutContext, purchase: Purchase, now: Instant) -> None:
    """Held: a capture that was under way makes it an order all the same; past its time it is given up.

    It becomes one at the next epoch: who was about to give it up may still send its units back at this one.
    """
    payment = purchase.payment
    found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=provider_payment_id(purchase))
    if payment is not None and isinstance(found, Captured):
        purchase, all_committed = ensure_stock_committed(context, with_next_epoch(context, purchase, now), now)
        if not all_committed:
            raise WriteConflict("Units of a held order are not there.")
        mark_paid(context, purchase, payment, found, now)
    elif payment is None or payment.deadline is None or now >= payment.deadline:
        void_and_cancel(context, purchase, now)


def _authorise(context: CheckoutContext, purchase: Purchase, now: Instant) -> int | None:
    payment = purchase.payment
    if payment is None:
        raise WriteConflict("A placed purchase without a payment cannot be paid.")
    if not purchase.totals.total:  # discounts took all of it off: the provider is not asked
        capture_payment(context, purchase, payment, None, now)
        return None
    if payment.released_by is not None:
        found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=payment.provider_id)
        if isinstance(found, Authorised | Captured):
            capture_payment(context, purchase, payment, found.provider_id, now)
            return None
    elif payment.failure is not None or exceeds_velocity_limit(context, purchase, now):
        _refuse_attempt(context, purchase, payment, now)
        return None
    if payment.token is None:  # its buyer has proved who they are already, and what was reserved then is gone
        fail_attempt(context, purchase, "authorisation_expired", payment.provider_id, now)
        return None
    order = AuthorisationRequest(
        purchase_id=purchase.id,
        attempt=purchase.attempt,
        amount=purchase.totals.total,
        currency=purchase.currency,
        token=payment.token,
        metadata=_metadata(purchase),
        requested_at=purchase.placed_at or purchase.updated_at,
        provider_id=payment.provider_id,
        step_up=payment.step_up,
        return_url=context.return_url.replace("{checkout}", checkout_id(purchase.id)),
    )
    return _handle_authorisation(context, purchase, payment, context.gateway.authorise(order, now=now), now)


def _refuse_attempt(context: CheckoutContext, purchase: Purchase, payment: Payment, now: Instant) -> None:
    """End an attempt before the provider is asked for it, though another worker may be asking at this moment.

    Noted first: who reserves money from there on sees that (``_still_ours``), and who did so before is found here.
    """
    if payment.failure is None:
        payment = payment.model_copy(update={"failure": "too_many_attempts"})
        purchase = next_version(purchase, now, payment=payment)
        save_or_contend(context, purchase)
    since, provider_id = visible_since(purchase), payment.provider_id
    found = context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=provider_id, since=since)
    if isinstance(found, Captured):
        capture_payment(context, purchase, payment, found.provider_id, now)
        return
    if isinstance(found, Authorised | ActionRequired):  # before any unit moves, as what was captured keeps its goods
        void_authorisation(context, found.provider_id, purchase.attempt, now)
    fail_attempt(context, purchase, "too_many_attempts", provider_id, now)


def _handle_authorisation(
    context: CheckoutContext, purchase: Purchase, payment: Payment, authorisation: Authorisation, now: Instant
) -> int | None:
    if isinstance(authorisation, Declined):
        handle_decline(context, purchase, authorisation, now)
        return None
    if isinstance(authorisation, ActionRequired):
        return await_authentication(context, purchase, authorisation, now)
    if authorisation.already_existed:
        purchase = with_next_epoch(context, purchase, now)
        purchase, all_committed = ensure_stock_committed(context, purchase, now)
        if not all_committed:
            fail_attempt(context, purchase, "out_of_stock", authorisation.provider_id, now)
            return None
    capture_payment(context, purchase, payment, authorisation.provider_id, now)
    return None


def _metadata(purchase: Purchase) -> dict[str, str]:
    """What the provider keeps beside a payment: ids only, so that it can be found again and told apart."""
    about = {"show": purchase.show_id, "channel": purchase.channel}
    fields = {"purchase": purchase.id, "reference": log_reference(purchase.id), **about}
    return {name: value for name, value in fields.items() if value}
