"""Orders on hold, by an operator or by the rule of a channel: nothing is captured until an operator releases them.

A card's authorisation expires at the provider after seven days, so the worker cancels an order on hold a day earlier.
"""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import (
    AttemptOutcome,
    Cancelled,
    PutOnHold,
    look_up,
    payment_of,
    payment_on_hold,
    save_next_version,
    visible_since,
)
from chalicelib.capture.commit_stock import OutOfStock, ensure_stock_committed, with_next_epoch
from chalicelib.capture.fail_attempt import (
    ensure_nothing_authorised,
    failed_payment,
    revert_line_to_hold,
    void_found,
)
from chalicelib.capture.received_money import (
    AMOUNT_DIFFERS,
    is_whole,
    report_different_amount,
    return_money,
)
from chalicelib.capture.take_payment import mark_paid
from chalicelib.checkout import release_budgets
from chalicelib.errors import Conflict, InvariantBroken, Unavailable, WriteConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import Captured, OutcomeUnknownError, ProviderBusyError
from chalicelib.purchase import (
    CheckoutContext,
    Purchase,
    PurchaseState,
    Written,
    budget_holds_of,
    holds_of,
    next_version,
    order_ref_of,
    read_order,
)
from chalicelib.telemetry import count

_MAX_TRIES: Final = 5
_CANCELLED_ON_HOLD: Final = "given_up"
"""The failure of a payment that was voided because its order was cancelled on hold."""


def put_on_hold(context: CheckoutContext, purchase_id: str, actor: str, now: Instant) -> Purchase:
    """Put an order that is being placed on hold. One write; a repeat returns the order on hold.

    A capture that is under way is not stopped. The order then becomes paid, because captured money must have its stock.

    Raises:
        NotFound: there is no such order.
        Conflict: the order is paid, or waits for its buyer.
    """
    for _ in range(_MAX_TRIES):
        purchase = read_order(context, purchase_id)
        if purchase.state is PurchaseState.ON_HOLD:
            return purchase
        if purchase.state is not PurchaseState.PLACED:
            raise Conflict("Only an order that is being placed can be put on hold.", code="not_being_placed")
        payment = payment_on_hold(purchase, actor, now)
        on_hold = next_version(purchase, now, state=PurchaseState.ON_HOLD, payment=payment)
        if isinstance(context.purchases.replace(on_hold), Written):
            return on_hold
    raise _too_many_changes()


def release_from_hold(context: CheckoutContext, purchase_id: str, actor: str, now: Instant) -> Purchase:
    """Release an order from hold; the capture worker goes on with it. One write; a repeat returns the released order.

    The order's stock is committed again, at the next epoch. A process with a slower or faster clock that cancels the
    order at the same time can then release none of it.

    Raises:
        NotFound: there is no such order.
        Conflict: the order is not on hold, it is being cancelled, or another amount than its total was received.
    """
    for _ in range(_MAX_TRIES):
        purchase = read_order(context, purchase_id)
        payment = purchase.payment
        if purchase.state is not PurchaseState.ON_HOLD or payment is None:
            if payment is not None and payment.released_by is not None:
                return purchase
            raise Conflict("The order is not on hold.", code="not_held")
        if payment.captured is not None:
            raise _received_another_amount(purchase, payment.captured)
        if payment.deadline is not None and payment.deadline <= now:
            raise Conflict("The order is being cancelled.", code="given_up")
        payment = payment.model_copy(update={"released_by": actor, "released_at": now, "deadline": None})
        changes = {"state": PurchaseState.PLACED, "epoch": purchase.epoch + 1, "payment": payment}
        released = next_version(purchase, now, **changes)
        if isinstance(context.purchases.replace(released), Written):
            return released
    raise _too_many_changes()


def cancel_order_on_hold(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Void the payment of an order on hold and cancel it. Safe to repeat.

    A first write ends the order's time on hold. If this process dies afterwards, ``recover_lost_orders`` finds the
    order past its deadline, and the capture worker cancels it.

    Raises:
        WriteConflict: the order was released meanwhile.
        Unavailable: the provider has not confirmed the state of the payment yet.
    """
    payment = payment_of(purchase)
    if payment.deadline is not None and payment.deadline > now:
        ended = payment.model_copy(update={"deadline": now})
        purchase = save_next_version(context, purchase, now, payment=ended)
    try:
        return _void_and_cancel(context, purchase, now)
    except (OutcomeUnknownError, ProviderBusyError) as error:
        detail = (
            "The payment provider has not confirmed yet. The order will be cancelled as soon as it does; retry later."
        )
        raise Unavailable(detail) from error


def was_cancelled_on_hold(purchase: Purchase) -> bool:
    """Return whether the purchase was an order on hold when it was cancelled."""
    payment = purchase.payment
    return purchase.state is PurchaseState.CANCELLED and payment is not None and payment.failure == _CANCELLED_ON_HOLD


def process_on_hold(context: CheckoutContext, purchase: Purchase, now: Instant) -> AttemptOutcome:
    """Do the capture worker's part for an order on hold: cancel it at its deadline, and before that only wait.

    Another amount than the total, captured in the provider's console, leaves the order on hold and raises an alarm. A
    capture that was under way when the order was put on hold makes it a paid order all the same. Its stock is
    committed again at the next epoch, because a process that cancels the order may still send its units back at this
    one.

    Raises:
        WriteConflict: another worker has changed the purchase; try again.
        OutcomeUnknownError: the provider did not answer; try again.
        InvariantBroken: the stock of a captured order is gone.
    """
    payment = payment_of(purchase)
    found = look_up(context, purchase, payment.provider_id, now)
    if isinstance(found, Captured) and is_whole(purchase, found):
        stock = ensure_stock_committed(context, with_next_epoch(context, purchase, now), now)
        if isinstance(stock, OutOfStock):
            raise InvariantBroken("An order on hold was captured, and its stock is gone.")
        return mark_paid(context, stock.purchase, payment, found, now)
    if payment.deadline is None or now >= payment.deadline:
        _void_and_cancel(context, purchase, now)
        return Cancelled()
    if isinstance(found, Captured):
        _note_different_amount(context, purchase, found, now)
    return PutOnHold()


def _note_different_amount(context: CheckoutContext, purchase: Purchase, captured: Captured, now: Instant) -> None:
    """Write the amount that was received for an order on hold, where it is not the total. One write, once."""
    report_different_amount(purchase, captured)
    payment = payment_of(purchase)
    if payment.captured != captured.amount:
        changes = {"captured": captured.amount, "provider_id": captured.provider_id}
        save_next_version(context, purchase, now, payment=payment.model_copy(update=changes))


def _void_and_cancel(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Cancel an order on hold: void its authorisation, let its units expire at once, then write it. Safe to repeat.

    Any other amount than the total that was received is refunded; a refused refund is reported, and does not keep the
    order on hold. The authorisation is voided before any unit moves, because captured money must have its stock. No
    later capture can follow: a worker that reserves money after this check sees that the order is on hold. That
    authorisation is voided when the worker's message is delivered again.
    """
    provider_id = payment_of(purchase).provider_id
    found = look_up(context, purchase, provider_id, now, since=visible_since(purchase))
    kept = found if isinstance(found, Captured) and not is_whole(purchase, found) else None
    if kept is not None:
        return_money(context, purchase, kept, now)
    else:
        void_found(context, purchase, found, now)
    if payment_of(purchase).tries:  # there may be a second payment
        ensure_nothing_authorised(context, purchase, None, now, kept=kept)
    for line in purchase.lines:
        revert_line_to_hold(context, purchase, line, now // SECOND)
    discounts = release_budgets(context, purchase, now)
    found_id = found.provider_id if found is not None else provider_id
    payment = failed_payment(purchase, _CANCELLED_ON_HOLD, found_id)
    changes = {"state": PurchaseState.CANCELLED, "cancelled_at": now, "payment": payment, "discounts": discounts}
    cancelled = save_next_version(context, purchase, now, **changes)
    for pool, hold in [*holds_of(purchase), *budget_holds_of(purchase)]:
        context.stock.release(pool, hold, order_ref_of(purchase))
    count("held_orders_cancelled")
    return cancelled


def _received_another_amount(purchase: Purchase, received: int) -> Conflict:
    detail = (
        f"The provider received {received} of {purchase.totals.total} {purchase.currency} (minor units)."
        " Cancel the order: what was received is then refunded."
    )
    return Conflict(detail, code=AMOUNT_DIFFERS)


def _too_many_changes() -> WriteConflict:
    return WriteConflict("Other requests keep changing this order; retry later.")
