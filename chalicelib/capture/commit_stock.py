"""Stock before money: commit every unit of a purchase at its epoch before the worker asks for the payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.capture.attempt import save_next_version
from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext, Line, Purchase, budget_holds_of, holds_of, order_ref_of
from chalicelib.stock import CommitResult, Committed, HoldGone, HoldRef, HoldStatus, OrderRef, Pool


@dataclass(frozen=True, slots=True)
class StockCommitted:
    """All that was to be committed is committed to the purchase at its epoch."""

    purchase: Purchase


@dataclass(frozen=True, slots=True)
class OutOfStock:
    """A hold is gone."""

    purchase: Purchase


@dataclass(frozen=True, slots=True)
class HoldToCommit:
    """A hold that a purchase names, the units of it to commit, and the status that a read found."""

    pool: Pool
    hold: HoldRef
    quantity: int
    status: HoldStatus | None


def ensure_stock_committed(context: CheckoutContext, purchase: Purchase, now: Instant) -> StockCommitted | OutOfStock:
    """Commit every unit that the buyer ordered, and the shares of budgets that discounts have.

    Costs one batched read of the buckets, and what :func:`commit_holds` writes.

    Raises:
        WriteConflict: another worker has moved the purchase or its units to a later epoch.
    """
    holds = [*holds_of(purchase), *budget_holds_of(purchase)]
    statuses = context.stock.get_hold_statuses(holds)
    to_commit = [
        HoldToCommit(pool, hold, hold.quantity, status) for (pool, hold), status in zip(holds, statuses, strict=True)
    ]
    result = commit_holds(context, purchase, to_commit, now)
    return result if names_all_units(purchase.lines) else OutOfStock(result.purchase)


def names_all_units(lines: Sequence[Line]) -> bool:
    """Return whether the holds of these lines have as many units as the buyer ordered."""
    return sum(hold.quantity for line in lines for hold in line.holds) == sum(line.quantity for line in lines)


def commit_holds(
    context: CheckoutContext, purchase: Purchase, holds: Sequence[HoldToCommit], now: Instant
) -> StockCommitted | OutOfStock:
    """Commit holds to a purchase at its epoch, or at the next one where units were reverted at its epoch.

    Safe to repeat. A hold that is committed already costs nothing, any other one 1 WCU; a new epoch costs a write of
    the purchase. A crash in between leaves units at an earlier epoch, which the next run commits again.

    The first hold that cannot be committed ends it: an attempt without all of its units is not paid for.

    Raises:
        WriteConflict: another worker has moved the purchase or its units to a later epoch.
    """
    purchase = with_committable_epoch(context, purchase, holds, now)
    order = order_ref_of(purchase)
    for wanted in holds:
        result = commit_hold(context, order, wanted)
        if isinstance(result, HoldGone):
            return OutOfStock(purchase)
        if not isinstance(result, Committed):
            raise WriteConflict("Another worker has changed this purchase.")
    return StockCommitted(purchase)


def with_committable_epoch(
    context: CheckoutContext, purchase: Purchase, holds: Sequence[HoldToCommit], now: Instant
) -> Purchase:
    """Return the purchase at an epoch at which every hold can be committed: the next one, if a hold was reverted."""
    uncommitted = [one.status for one in holds if one.status is not None and one.status.expires_at is not None]
    if uncommitted and str(order_ref_of(purchase)) in {status.order for status in uncommitted}:
        return with_next_epoch(context, purchase, now)
    return purchase


def commit_hold(context: CheckoutContext, order: OrderRef, wanted: HoldToCommit) -> CommitResult:
    """Commit one hold to an order at its epoch. Costs 1 WCU, and nothing if the hold is committed already."""
    status = wanted.status
    if status is not None and status.is_committed_to(order) and status.quantity == wanted.quantity:
        return Committed(wanted.quantity)
    return context.stock.commit(wanted.pool, wanted.hold, wanted.quantity, order, status)


def with_next_epoch(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Raise the purchase's epoch: from here on, stock refuses what an older worker still sends for it. One write."""
    return save_next_version(context, purchase, now, epoch=purchase.epoch + 1)
