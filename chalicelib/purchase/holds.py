"""The holds that a purchase names."""

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
    """Where a line's drop has its units."""
    return Pool(line.drop_id, line.bucket_count)


def order_ref_of(purchase: Purchase) -> OrderRef:
    """Who the purchase's units are sold to, at its present epoch."""
    return OrderRef(purchase.order_ref, purchase.epoch)


def holds_of(purchase: Purchase) -> list[tuple[Pool, HoldRef]]:
    """Every hold a purchase names, with its drop's layout."""
    return [(pool_of(line), hold) for line in purchase.lines for hold in line.holds]


def budget_holds_of(purchase: Purchase) -> list[tuple[Pool, HoldRef]]:
    """Every share of a budget that a purchase has, with where that stands."""
    return [share for one in purchase.discounts for share in one.holds_with_pools]


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
    """After a *refused* write: release exactly the holds that the purchase which stands there does not name.

    ``standing`` is what refused the write. The same request may have won on another thread, and then the holds are its
    own. Nobody can name them later: a hold belongs to one version, and a version is written once. A cancelled purchase
    names none: its holds were given back, and what a late repeat takes is taken for nobody. A hold that it names with
    another end is one that had lapsed and was taken, and that a repeat took again: a repeat renews nothing.
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
    """Give back what a request took before it gave up *without* a write; answers the purchase as it now stands.

    A twin of the request has the same holds and may be about to name them. So their version is used up first, by a
    write that changes nothing else: who comes later is refused. One write, and one a hold; only a read if none was
    taken.
    """
    if not new_holds:
        return context.purchases.read(purchase.id) or purchase
    superseding = next_version(purchase, now)
    answer = context.purchases.replace(superseding)
    existing = answer.existing if isinstance(answer, Refused) else superseding
    release_unreferenced(context.stock, new_holds, existing)
    return existing
