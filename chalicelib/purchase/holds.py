"""Holds that a purchase names: find, revert and release them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant, UnixSeconds
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.model import Line, Purchase, PurchaseState
from chalicelib.purchase.order_status import next_version
from chalicelib.purchase.store import Refused
from chalicelib.stock import HoldGone, HoldRef, OrderRef, Pool, Stock


def pool_of(line: Line) -> Pool:
    """Return the pool of buckets that a line's units are in."""
    return Pool(line.drop_id, line.bucket_count)


def order_ref_of(purchase: Purchase) -> OrderRef:
    """Return the order that stock is committed to, at the purchase's present epoch."""
    return OrderRef(purchase.order_ref, purchase.epoch)


def holds_of(purchase: Purchase) -> list[tuple[Pool, HoldRef]]:
    """Return every hold of the purchase's lines, with its pool."""
    return [(pool_of(line), hold) for line in purchase.lines for hold in line.holds]


def budget_holds_of(purchase: Purchase) -> list[tuple[Pool, HoldRef]]:
    """Return every hold of the purchase in a discount's budget, with its pool."""
    return [pair for discount in purchase.discounts for pair in discount.holds_with_pools]


def revert_to_hold(
    stock: Stock, order: OrderRef, holds: Iterable[tuple[Pool, HoldRef]], expires_at: UnixSeconds
) -> list[HoldRef | None]:
    """Turn units committed to ``order`` back into holds that end at ``expires_at``. Costs 1 WCU a hold.

    Returns one entry for each hold; None where the units are gone. A tombstone then keeps out a take that is still on
    its way.

    Raises:
        WriteConflict: a late take has placed a hold whose units were gone; try again.
    """
    return [_revert_one(stock, order, pool, hold, expires_at) for pool, hold in holds]


def _revert_one(stock: Stock, order: OrderRef, pool: Pool, hold: HoldRef, expires_at: UnixSeconds) -> HoldRef | None:
    if not isinstance(stock.revert_to_hold(pool, hold, order, expires_at), HoldGone):
        return replace(hold, expires_at=expires_at)
    if not stock.tombstone(pool, hold.id):
        raise WriteConflict("A late take has placed the hold again.")
    return None


def release_unreferenced(stock: Stock, new_holds: list[tuple[Pool, HoldRef]], existing: Purchase) -> None:
    """After a *refused* write, release exactly the new holds that the stored purchase does not name.

    ``existing`` refused the write. A duplicate of the request may have written it, and then it names these holds. No
    later version can name the others: a hold belongs to one version, and each version is written once.
    A cancelled purchase names no hold: its holds were released, and a late duplicate took units for nobody.
    A hold that is named with another end had expired and was reclaimed before the duplicate took it again. It is
    released, because a repeated request renews nothing.
    """
    cancelled = existing.state is PurchaseState.CANCELLED
    holds = [] if cancelled else [*holds_of(existing), *budget_holds_of(existing)]
    referenced = {(hold.id, hold.expires_at) for _, hold in holds}
    for pool, hold in new_holds:
        if (hold.id, hold.expires_at) not in referenced:
            stock.release(pool, hold)


def abandon_request(
    context: CheckoutContext, purchase: Purchase, new_holds: list[tuple[Pool, HoldRef]], now: Instant
) -> Purchase:
    """Release what a request took before it ended *without* a write. Return the purchase as it is stored now.

    A duplicate of the request has the same holds and may be about to name them. So a write that changes nothing else
    uses up their version first: the duplicate's write is then refused. Costs one write, and one a hold; without new
    holds, one read.
    """
    if not new_holds:
        return context.purchases.read(purchase.id) or purchase
    superseding = next_version(purchase, now)
    answer = context.purchases.replace(superseding)
    existing = answer.existing if isinstance(answer, Refused) else superseding
    release_unreferenced(context.stock, new_holds, existing)
    return existing
