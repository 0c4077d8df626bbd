"""Goods before money: every unit of a purchase is sold to it, at its epoch, before its payment is asked for."""

from __future__ import annotations

from chalicelib.capture.fail_attempt import save_or_contend
from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext, Purchase, budget_holds_of, holds_of, next_version, order_ref_of
from chalicelib.stock import Committed, HoldGone


def ensure_stock_committed(context: CheckoutContext, purchase: Purchase, now: Instant) -> tuple[Purchase, bool]:
    """The purchase, perhaps at a higher epoch, and whether every unit of it is sold to it at that epoch.

    So are the shares of budgets that its discounts have.
    """
    holds, order = [*holds_of(purchase), *budget_holds_of(purchase)], order_ref_of(purchase)
    statuses = context.stock.get_hold_statuses(holds)
    was_reverted = any(s and s.expires_at is not None and s.order == str(order) for s in statuses)
    if was_reverted:
        purchase = with_next_epoch(context, purchase, now)
        order = order_ref_of(purchase)
    for (pool, hold), status in zip(holds, statuses, strict=True):
        if status and status.expires_at is None and status.order == str(order) and status.quantity == hold.quantity:
            continue
        answer = context.stock.commit(pool, hold, hold.quantity, order, status)
        if isinstance(answer, HoldGone):
            return purchase, False
        if not isinstance(answer, Committed):
            raise WriteConflict("Another worker moves this purchase.")
    ordered_units = sum(line.quantity for line in purchase.lines)
    return purchase, sum(hold.quantity for _, hold in holds_of(purchase)) == ordered_units


def with_next_epoch(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """The purchase one epoch on: what an older worker still sends for it is refused from here on."""
    next_epoch = next_version(purchase, now, epoch=purchase.epoch + 1)
    save_or_contend(context, next_epoch)
    return next_epoch
