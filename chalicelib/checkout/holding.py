"""Orders held back, by an operator or by the rule of a channel: nothing is captured until they are released.

What is authorised lapses at the provider (cards: seven days), so that a held order is given up a day before that.
"""

from __future__ import annotations

from typing import Final

from chalicelib.checkout.model import Purchase, PurchaseState
from chalicelib.checkout.till import CheckoutContext, next_version
from chalicelib.errors import Conflict, NotFound, WriteConflict
from chalicelib.instants import DAY, Instant

MAX_ORDER_HOLD: Final[Instant] = 6 * DAY
"""How long an order may be held."""

_TRIES: Final = 5


def put_on_hold(context: CheckoutContext, purchase_id: str, actor: str, now: Instant) -> Purchase:
    """Hold an order that is being placed: one write. A repeat finds it held.

    ``Conflict`` when it is paid or waits for its buyer. A capture that is under way already is not stopped: then the
    order becomes paid, since what was captured must have its goods.
    """
    for _ in range(_TRIES):
        purchase = _read_order(context, purchase_id)
        if purchase.state is PurchaseState.ON_HOLD:
            return purchase
        if purchase.state is not PurchaseState.PLACED:
            raise Conflict("Only an order that is being placed can be held.", code="not_being_placed")
        on_hold = on_hold_version(purchase, actor, now)
        if context.purchases.replace(on_hold) is None:
            return on_hold
    raise WriteConflict("The order is being changed by others.")


def release_from_hold(context: CheckoutContext, purchase_id: str, actor: str, now: Instant) -> Purchase:
    """Let a held order be captured: one write, and the capture worker goes on. A repeat finds it released.

    Its units are sold to it anew, at the next epoch: who gives it up by another clock sends none of them back then.
    """
    for _ in range(_TRIES):
        purchase = _read_order(context, purchase_id)
        if purchase.state is not PurchaseState.ON_HOLD or purchase.payment is None:
            if purchase.payment is not None and purchase.payment.released_by is not None:
                return purchase
            raise Conflict("The order is not held.", code="not_held")
        if purchase.payment.deadline is not None and purchase.payment.deadline <= now:
            raise Conflict("The order is being given up.", code="given_up")
        payment = purchase.payment.model_copy(update={"released_by": actor, "deadline": None})
        released = next_version(purchase, now, state=PurchaseState.PLACED, epoch=purchase.epoch + 1, payment=payment)
        if context.purchases.replace(released) is None:
            return released
    raise WriteConflict("The order is being changed by others.")


def on_hold_version(purchase: Purchase, by: str, now: Instant) -> Purchase:
    """The purchase held until its payment is about to lapse."""
    if purchase.payment is None:
        raise WriteConflict("A placed purchase without a payment cannot be held.")
    since = purchase.placed_at or now
    changes = {"held_by": by, "released_by": None, "deadline": since + MAX_ORDER_HOLD, "failure": None}
    return next_version(purchase, now, state=PurchaseState.ON_HOLD, payment=purchase.payment.model_copy(update=changes))


def _read_order(context: CheckoutContext, purchase_id: str) -> Purchase:
    purchase = context.purchases.read(purchase_id)
    if purchase is None or purchase.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}:
        raise NotFound("There is no such order.", field="id")
    return purchase
