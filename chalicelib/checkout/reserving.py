"""Shares of budgets: reserved before the freeze, consumed with the goods, returned when an attempt ends without money.

A budget is laid out as stock is, a use is a hold in it, and all that is true of holds is true of uses: taken at most
once by the same request, never more than there are, lapsing by themselves.
"""

from __future__ import annotations

from chalicelib.checkout.limits import count_use
from chalicelib.checkout.lines import Basket
from chalicelib.checkout.model import Purchase
from chalicelib.checkout.till import Till, order_of, reserves_of
from chalicelib.discounts import RESERVED_SECONDS, Applied, Discount, Reason, Reserved
from chalicelib.errors import Contended
from chalicelib.instants import SECOND, Instant
from chalicelib.stock import EpochSeconds, Gone, HoldRef, Layout, Summary, Taken, hold_id


def reserve(till: Till, frozen: Purchase, basket: Basket, now: Instant) -> tuple[Reserved, ...] | dict[str, str]:
    """A share of each budget of the purchase's discounts; or why, by code, there is none.

    Costs 1 WCU a budget, and 1 (2 where the buyer used it before) for a limit per buyer. What is taken is noted in the
    basket; dying afterwards, it lapses.
    """
    reserved: list[Reserved] = []
    for one in frozen.discounts:
        offered = till.discounts.find(one.code, now)
        if offered is None:
            return {one.code: Reason.UNKNOWN}
        discount = offered.discount
        if discount.limit_per_buyer is not None and not count_use(till, frozen, discount, now):
            return {one.code: Reason.LIMIT}
        shares = _shares(till, frozen, one, discount, offered.summaries, basket, now)
        if shares is None:
            return {one.code: Reason.USED_UP}
        reserved += shares
    return tuple(reserved)


def _shares(
    till: Till,
    frozen: Purchase,
    one: Applied,
    discount: Discount,
    summaries: tuple[Summary | None, ...],
    basket: Basket,
    now: Instant,
) -> list[Reserved] | None:
    taken = []
    for budget, summary in zip(discount.budgets, summaries, strict=True):
        quantity = budget.share(one.amount)
        hold = _taken(till, budget.layout, frozen, quantity, summary, basket, now)
        if hold is None:
            return None
        taken.append(Reserved(budget=budget.layout.drop_id, hold=hold))
    return taken


def _taken(
    till: Till, layout: Layout, frozen: Purchase, quantity: int, summary: Summary | None, basket: Basket, now: Instant
) -> HoldRef | None:
    """The whole share, or nothing. A twin of this request has the same hold, which its summary may miss."""
    name = hold_id(frozen.id, layout.drop_id, frozen.version, quantity)
    answer = till.stock.take(layout, name, quantity, now // SECOND + RESERVED_SECONDS, summary, now=now)
    found = answer if isinstance(answer, Taken) else till.stock.find(layout, name)
    if found is None:
        return None
    if not found.sold:
        basket.taken.append((layout, found.hold))
    return found.hold if found.hold.quantity == quantity else None


def held_until(till: Till, purchase: Purchase, until: EpochSeconds) -> tuple[Reserved, ...]:
    """The purchase's shares held again, at its epoch; those that are gone are left out. 1 WCU each.

    ``until`` this very second returns them: others may take them, and a late sell at this epoch is refused.
    """
    order, left = order_of(purchase), []
    for one, (layout, hold) in zip(purchase.reserves, reserves_of(purchase), strict=True):
        if not isinstance(till.stock.hold_again(layout, hold, order, until), Gone):
            kept = HoldRef(hold.id, hold.bucket, hold.quantity, until)
            left.append(Reserved(budget=one.budget, hold=kept))
        elif not till.stock.mark_dead(layout, hold.id):
            raise Contended("A hold that was gone has come back by a late take.")
    return tuple(left)
