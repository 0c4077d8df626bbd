"""Capture an authorised payment and mark the purchase paid."""

from __future__ import annotations

from chalicelib.capture.fail_attempt import fail_attempt, save_or_contend
from chalicelib.capture.order_holds import on_hold_version
from chalicelib.errors import WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import Captured, CaptureFailed
from chalicelib.purchase import CheckoutContext, Payment, Purchase, PurchaseState, next_version
from chalicelib.telemetry import count, logger


def capture_payment(
    context: CheckoutContext, purchase: Purchase, payment: Payment, provider_id: str | None, now: Instant
) -> None:
    """Capture what is authorised, the units being sold, and mark the purchase paid; or hold it, if its channel is.

    ``provider_id`` None: there is nothing to pay.
    """
    if purchase.channel in context.order_hold_channels and payment.released_by is None:
        with_provider_id = purchase.model_copy(
            update={"payment": payment.model_copy(update={"provider_id": provider_id})}
        )
        save_or_contend(context, on_hold_version(with_provider_id, "channel", now))
        count("orders_held")
        return
    if provider_id is None:
        mark_paid(context, purchase, payment, None, now)
        return
    _ensure_unchanged(context, purchase)
    captured = context.gateway.capture(provider_id, attempt=purchase.attempt, amount=purchase.totals.total, now=now)
    if isinstance(captured, CaptureFailed):
        fail_attempt(context, purchase, captured.code, captured.provider_id, now)
        return
    mark_paid(context, purchase, payment, captured, now)


def _ensure_unchanged(context: CheckoutContext, purchase: Purchase) -> None:
    """Look once more, the money being reserved: who gives the order up from here on finds that, and voids it. 1 RCU.

    Who gave it up before found nothing to void: without this look it would be captured all the same.
    """
    current = context.purchases.read(purchase.id)
    if current is None or current.version != purchase.version:
        raise WriteConflict("Another worker moved this purchase.")


def mark_paid(
    context: CheckoutContext, purchase: Purchase, payment: Payment, captured: Captured | None, now: Instant
) -> None:
    changes: dict[str, object] = {
        "token": None,
        "velocity_keys": (),
        "failure": None,
        "action_url": None,
        "deadline": None,
    }
    if captured is not None:
        changes |= {"provider_id": captured.provider_id, "charge_id": captured.charge_id, "fee": captured.fee}
    settled_payment = payment.model_copy(update=changes)
    save_or_contend(
        context, next_version(purchase, now, state=PurchaseState.PAID, payment=settled_payment, paid_at=now)
    )
    count("orders_paid")
    count("units_sold", sum(line.quantity for line in purchase.lines))
    logger.info("order paid", extra={"purchase": log_reference(purchase.id), "attempt": purchase.attempt})
