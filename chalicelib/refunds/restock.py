"""Put the units of done refunds back into stock: bring each hold down to what the order has left of it."""

from __future__ import annotations

from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant
from chalicelib.purchase import (
    CheckoutContext,
    Line,
    Purchase,
    Written,
    next_version,
    order_ref_of,
    pool_of,
    restocked_units,
    units_to_restock,
)
from chalicelib.stock import HoldRef

MAX_TRIES = 5
"""Writes to try for one change of an order or hold: each refusal means that another change landed."""


def restock_done_refunds(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Put back the units of every done refund that has not yet, and record that. Repeatable.

    The target of a hold follows from the refunds that are done, and never rises. So refunds may end in any order, and
    workers may overtake each other: none restocks a unit twice. Costs one write for each hold that loses units, and one
    write of the purchase.

    Raises:
        WriteConflict: other requests are changing the order or its holds. Try again.
    """
    due = {refund.id for refund in purchase.refunds if refund.is_restock_due}
    if not due:
        return purchase
    line_ids = {part.line_id for refund in purchase.refunds if refund.id in due for part in refund.lines}
    for line in purchase.lines:
        if line.id in line_ids:
            _restock_line(context, purchase, line)
    return _mark_restocked(context, purchase, due, now)


def _restock_line(context: CheckoutContext, purchase: Purchase, line: Line) -> None:
    """Bring the holds of a line down to their targets, the last hold first."""
    expected = remaining_by_hold(line, restocked_units(purchase, line.id))
    targets = remaining_by_hold(line, units_to_restock(purchase, line.id))
    for hold in reversed(line.holds):
        if targets[hold.id] < expected[hold.id]:
            _bring_down(context, purchase, line, hold, expected[hold.id], targets[hold.id])


def _bring_down(
    context: CheckoutContext, purchase: Purchase, line: Line, hold: HoldRef, expected: int, target: int
) -> None:
    """Return units of a hold to stock until ``target`` are left, from any number above it. No hold is left at zero."""
    pool, order = pool_of(line), order_ref_of(purchase)
    for _ in range(MAX_TRIES):
        if context.stock.restock(pool, hold, order, expected, target):
            return
        status = context.stock.get_hold_statuses([(pool, hold)])[0]
        if status is None or (status.is_committed_to(order) and status.quantity <= target):
            return
        expected = max(status.quantity, target)
    raise WriteConflict("Another refund is restocking the units of this order. Try again.")


def remaining_by_hold(line: Line, restocked: int) -> dict[str, int]:
    """Return the units of each hold after ``restocked`` units of the line went back. The last hold loses first."""
    remaining = {}
    for hold in reversed(line.holds):
        remaining[hold.id] = max(hold.quantity - restocked, 0)
        restocked = max(restocked - hold.quantity, 0)
    return remaining


def _mark_restocked(context: CheckoutContext, purchase: Purchase, refund_ids: set[str], now: Instant) -> Purchase:
    for _ in range(MAX_TRIES):
        refunds = tuple(
            refund.model_copy(update={"restocked": True}) if refund.id in refund_ids else refund
            for refund in purchase.refunds
        )
        if refunds == purchase.refunds:
            return purchase
        marked = next_version(purchase, now, refunds=refunds)
        answer = context.purchases.replace(marked)
        if isinstance(answer, Written):
            return marked
        purchase = answer.existing
    raise WriteConflict("Other requests are changing this order. Try again.")
