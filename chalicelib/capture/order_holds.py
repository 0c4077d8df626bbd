"""Orders held back, by an operator or by the rule of a channel: nothing is captured until they are released.

What is authorised lapses at the provider (cards: seven days), so that a held order is given up a day before that.
"""

from __future__ import annotations

from typing import Final

from chalicelib.capture.fail_attempt import (
    ensure_nothing_authorised,
    failed_payment,
    provider_payment_id,
    revert_line_to_hold,
    save_or_contend,
    visible_since,
)
from chalicelib.checkout import release_budgets
from chalicelib.errors import Conflict, Unavailable, WriteConflict
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.payments import OutcomeUnknownError
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


def void_and_cancel(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Cancel a held order: its authorisation is voided, its units lapse at once, then it is written. Repeatable.

    Voided before any unit moves, as what was captured keeps its goods. Nothing is captured after that look: who
    reserves money later sees that the order is held, and what it reserved is voided when its message comes again.
    """
    ensure_nothing_authorised(context, purchase, provider_payment_id(purchase), now, since=visible_since(purchase))
    for line in purchase.lines:
        revert_line_to_hold(context, purchase, line, now // SECOND)
    discounts = release_budgets(context, purchase, now)
    changes = {
        "state": PurchaseState.CANCELLED,
        "cancelled_at": now,
        "payment": failed_payment(purchase, _CANCELLED_ON_HOLD),
    }
    cancelled = next_version(purchase, now, **changes, discounts=discounts)
    save_or_contend(context, cancelled)
    for pool, hold in [*holds_of(purchase), *budget_holds_of(purchase)]:
        context.stock.release(pool, hold, order_ref_of(purchase))
    count("held_orders_cancelled")
    return cancelled


def cancel_order_on_hold(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Void the payment of an order on hold and cancel it. Repeatable.

    One write ends the order's hold before anything else. If the process dies after that write, recovery finds an order
    past its deadline and cancels it.

    Raises: ``WriteConflict`` when the order was released meanwhile; ``Unavailable`` while the provider does not say
    whether it authorised the payment.
    """
    if purchase.payment and purchase.payment.deadline and purchase.payment.deadline > now:
        purchase = next_version(purchase, now, payment=purchase.payment.model_copy(update={"deadline": now}))
        save_or_contend(context, purchase)
    try:
        return void_and_cancel(context, purchase, now)
    except OutcomeUnknownError as error:
        detail = (
            "The payment provider has not confirmed yet. The order will be cancelled as soon as it does; retry later."
        )
        raise Unavailable(detail) from error


def was_cancelled_on_hold(purchase: Purchase) -> bool:
    """Return whether the purchase was an order on hold when it was cancelled."""
    payment = purchase.payment
    return purchase.state is PurchaseState.CANCELLED and payment is not None and payment.failure == _CANCELLED_ON_HOLD


MAX_ORDER_HOLD: Final[Instant] = 6 * DAY
"""How long an order may be held."""

_TRIES: Final = 5
_CANCELLED_ON_HOLD: Final = "given_up"
"""The failure of a payment that was voided because its order was cancelled on hold."""


def put_on_hold(context: CheckoutContext, purchase_id: str, actor: str, now: Instant) -> Purchase:
    """Hold an order that is being placed: one write. A repeat finds it held.

    ``Conflict`` when it is paid or waits for its buyer. A capture that is under way already is not stopped: then the
    order becomes paid, since what was captured must have its goods.
    """
    for _ in range(_TRIES):
        purchase = read_order(context, purchase_id)
        if purchase.state is PurchaseState.ON_HOLD:
            return purchase
        if purchase.state is not PurchaseState.PLACED:
            raise Conflict("Only an order that is being placed can be held.", code="not_being_placed")
        on_hold = on_hold_version(purchase, actor, now)
        if isinstance(context.purchases.replace(on_hold), Written):
            return on_hold
    raise WriteConflict("The order is being changed by others.")


def release_from_hold(context: CheckoutContext, purchase_id: str, actor: str, now: Instant) -> Purchase:
    """Let a held order be captured: one write, and the capture worker goes on. A repeat finds it released.

    Its units are sold to it anew, at the next epoch: who gives it up by another clock sends none of them back then.
    """
    for _ in range(_TRIES):
        purchase = read_order(context, purchase_id)
        if purchase.state is not PurchaseState.ON_HOLD or purchase.payment is None:
            if purchase.payment is not None and purchase.payment.released_by is not None:
                return purchase
            raise Conflict("The order is not held.", code="not_held")
        if purchase.payment.deadline is not None and purchase.payment.deadline <= now:
            raise Conflict("The order is being given up.", code="given_up")
        payment = purchase.payment.model_copy(update={"released_by": actor, "deadline": None})
        released = next_version(purchase, now, state=PurchaseState.PLACED, epoch=purchase.epoch + 1, payment=payment)
        if isinstance(context.purchases.replace(released), Written):
            return released
    raise WriteConflict("The order is being changed by others.")


def on_hold_version(purchase: Purchase, by: str, now: Instant) -> Purchase:
    """The purchase held until its payment is about to lapse."""
    if purchase.payment is None:
        raise WriteConflict("A placed purchase without a payment cannot be held.")
    since = purchase.placed_at or now
    changes = {"held_by": by, "released_by": None, "deadline": since + MAX_ORDER_HOLD, "failure": None}
    return next_version(purchase, now, state=PurchaseState.ON_HOLD, payment=purchase.payment.model_copy(update=changes))
