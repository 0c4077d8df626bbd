"""Capture an authorised payment and mark the purchase paid, or put it on hold where its channel asks for that."""

from __future__ import annotations

from chalicelib.capture.attempt import AttemptOutcome, Paid, PutOnHold, payment_of, payment_on_hold, save_next_version
from chalicelib.capture.commit_stock import OutOfStock, ensure_stock_committed
from chalicelib.capture.fail_attempt import fail_attempt
from chalicelib.capture.received_money import AMOUNT_DIFFERS, RETURN_REFUSED, record_earlier_refunds, return_money
from chalicelib.errors import WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import Captured, CaptureFailed
from chalicelib.purchase import CheckoutContext, Payment, Purchase, PurchaseState
from chalicelib.telemetry import count, logger


def commit_and_capture(context: CheckoutContext, purchase: Purchase, provider_id: str, now: Instant) -> AttemptOutcome:
    """Commit the stock of an authorised purchase, then capture; fail the attempt if units are gone."""
    stock = ensure_stock_committed(context, purchase, now)
    if isinstance(stock, OutOfStock):
        return fail_attempt(context, stock.purchase, "out_of_stock", provider_id, now)
    return capture_payment(context, stock.purchase, provider_id, now)


def capture_payment(
    context: CheckoutContext, purchase: Purchase, provider_id: str | None, now: Instant
) -> AttemptOutcome:
    """Capture what is authorised and mark the purchase paid. Its stock must be committed already.

    ``provider_id`` None: the total is zero and there is nothing to capture. An order of a channel in
    ``order_hold_channels`` goes on hold instead, unless an operator has released it. If another amount than the total
    was received, it is returned and the attempt ends, even if the provider refuses the return.

    Raises:
        WriteConflict: another worker has changed the purchase.
        OutcomeUnknownError: the provider did not answer.
    """
    payment = payment_of(purchase)
    if purchase.channel in context.order_hold_channels and payment.released_by is None:
        return _put_on_hold(context, purchase, provider_id, now)
    if provider_id is None:
        return mark_paid(context, purchase, payment, None, now)
    _ensure_unchanged(context, purchase)
    amount, currency = purchase.totals.total, purchase.currency
    captured = context.gateway.capture(provider_id, attempt=purchase.attempt, amount=amount, currency=currency, now=now)
    if isinstance(captured, CaptureFailed):
        return fail_attempt(context, purchase, captured.code, captured.provider_id, now)
    if captured.amount != amount:
        failure = AMOUNT_DIFFERS if return_money(context, purchase, captured, now) else RETURN_REFUSED
        return fail_attempt(context, purchase, failure, captured.provider_id, now, kept=captured)
    return mark_paid(context, purchase, payment, captured, now)


def _put_on_hold(context: CheckoutContext, purchase: Purchase, provider_id: str | None, now: Instant) -> PutOnHold:
    payment = payment_on_hold(purchase, "channel", now).model_copy(update={"provider_id": provider_id})
    save_next_version(context, purchase, now, state=PurchaseState.ON_HOLD, payment=payment)
    count("orders_held")
    return PutOnHold()


def _ensure_unchanged(context: CheckoutContext, purchase: Purchase) -> None:
    """Read the purchase again now that the money is reserved. 1 RCU.

    A worker that ends the attempt after this read finds the authorisation and voids it. One that ended it before found
    nothing to void; without this read the money would be captured all the same.

    Raises:
        WriteConflict: another worker has changed the purchase.
    """
    current = context.purchases.read(purchase.id)
    if current is None or current.version != purchase.version:
        raise WriteConflict("Another worker has changed this purchase.")


def mark_paid(
    context: CheckoutContext, purchase: Purchase, payment: Payment, captured: Captured | None, now: Instant
) -> Paid:
    """Write the purchase as paid by what was captured; ``captured`` None: its total is zero.

    Refunds that were made in the provider's console before are recorded right afterwards. A crash in between leaves
    them to their events and to the nightly comparison.
    """
    changes: dict[str, object] = {
        "token": None,
        "velocity_keys": (),
        "failure": None,
        "action_url": None,
        "deadline": None,
        "captured": None,
    }
    if captured is not None:
        changes |= {"provider_id": captured.provider_id, "charge_id": captured.charge_id}
    paid_by = payment.model_copy(update=changes)
    save_next_version(context, purchase, now, state=PurchaseState.PAID, payment=paid_by, paid_at=now)
    count("orders_paid")
    count("units_sold", sum(line.quantity for line in purchase.lines))
    logger.info("order paid", extra={"purchase": log_reference(purchase.id), "attempt": purchase.attempt})
    if captured is not None and captured.refunded:
        record_earlier_refunds(context, purchase, captured, now)
    return Paid()
