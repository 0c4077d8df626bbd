"""What may be done with a hold: each verb one conditional write, safe to repeat.

A verb first writes at the bucket where the hold was taken. Refused, it learns from the bucket that stood in the way;
without an entry there it looks the hold up from its home.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from chalicelib.errors import WriteConflict
from chalicelib.instants import UnixSeconds
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, BucketEntry
from chalicelib.stock.expressions import Write
from chalicelib.stock.layout import home_of
from chalicelib.stock.model import (
    CommitResult,
    Committed,
    HoldGone,
    HoldRef,
    HoldStatus,
    OrderRef,
    Pool,
    RevertedToHold,
    RevertToHoldResult,
    StaleEpoch,
)
from chalicelib.stock.store import StockStore

_Result = TypeVar("_Result")

_TRIES: Final = 5
"""Writes a verb makes before it calls the hold contended: each refusal means that somebody else's write landed."""


def commit(
    store: StockStore, pool: Pool, ref: HoldRef, keep: int, order: OrderRef, status: HoldStatus | None
) -> CommitResult:
    """Give ``keep`` units to the order at its epoch. A lapsed hold that nobody took still buys."""
    if not 1 <= keep <= ref.quantity:
        raise ValueError(f"cannot sell {keep} of a hold of {ref.quantity}")
    number, seen = ref.bucket, BucketEntry(ref.quantity, ref.expires_at)
    if status is not None:
        number, seen = status.bucket, BucketEntry(status.quantity, status.expires_at, status.order)
        outcome = _commit_outcome(seen, keep, order)
        if outcome is not None:
            return outcome
    for _ in range(_TRIES):
        write = expressions.commit(ref.id, seen, keep, order)
        existing = store.write(pool.pool_id, number, write)
        if existing is None:
            return Committed(keep)
        found = _locate(store, pool, ref, number, existing)
        if found is None:
            return HoldGone()
        number, seen = found
        result = _commit_outcome(seen, keep, order)
        if result is not None:
            return result
    raise WriteConflict("the hold is being changed by others")


def _commit_outcome(seen: BucketEntry, keep: int, order: OrderRef) -> CommitResult | None:
    """What selling to the order comes to, as the hold stands; None: it may be sold."""
    if seen.quantity < keep:
        return HoldGone()
    if seen.order is not None:
        if not seen.order.startswith(order.order_ref):
            return HoldGone()
        if seen.order == str(order) and seen.is_sold and seen.quantity == keep:
            return Committed(keep)
        if seen.order >= str(order):
            return StaleEpoch()
    return None


def revert_to_hold(
    store: StockStore, pool: Pool, ref: HoldRef, order: OrderRef, expires_at: UnixSeconds
) -> RevertToHoldResult:
    """Keep the units for the order until ``until``, so that a sell at this epoch that lands later is refused."""

    def interpret(seen: BucketEntry) -> RevertToHoldResult | None:
        if not seen.has_units:
            return HoldGone()
        if seen.order is None or str(OrderRef(order.order_ref, 0)) <= seen.order <= str(order):
            return None
        return StaleEpoch() if seen.order.startswith(order.order_ref) else HoldGone()

    success: RevertToHoldResult = RevertedToHold(expires_at)
    write = expressions.revert_to_hold(ref.id, order, expires_at)
    return _write(store, pool, ref, write, interpret, done=success, gone=HoldGone())


def release(store: StockStore, pool: Pool, ref: HoldRef, order: OrderRef | None) -> bool:
    """Make the units available. True when they are, by this or an earlier write."""

    def interpret(seen: BucketEntry) -> bool | None:
        if not seen.has_units:
            return True
        free_to_go = seen.is_held and seen.order is None
        return None if free_to_go or (order is not None and seen.order == str(order)) else False

    return _write(store, pool, ref, expressions.release(ref.id, order), interpret, done=True, gone=True)


def shrink(store: StockStore, pool: Pool, ref: HoldRef, keep: int, expires_at: UnixSeconds | None) -> bool:
    """Bring the hold down to ``keep`` units."""
    if not 1 <= keep <= ref.quantity:
        raise ValueError(f"cannot shrink a hold of {ref.quantity} to {keep}")

    def interpret(seen: BucketEntry) -> bool | None:
        if seen.is_held and seen.quantity == keep:
            return True
        return None if seen.is_held and seen.quantity == ref.quantity else False

    write = expressions.shrink(ref.id, ref.quantity, keep, expires_at)
    return _write(store, pool, ref, write, interpret, done=True, gone=False)


def restock(store: StockStore, pool: Pool, ref: HoldRef, order: OrderRef, expected: int, remaining: int) -> bool:
    """Bring what was sold to the order down from ``expected`` to ``left`` units."""
    if not 0 <= remaining <= expected:
        raise ValueError(f"cannot give back from {expected} to {remaining}")

    def interpret(seen: BucketEntry) -> bool | None:
        matches = seen.expires_at is None and seen.order == str(order)
        if matches and seen.quantity == remaining:
            return True
        return None if matches and seen.quantity == expected else False

    write = expressions.restock(ref.id, order, expected, remaining)
    return _write(store, pool, ref, write, interpret, done=True, gone=False)


def _write(
    store: StockStore,
    pool: Pool,
    ref: HoldRef,
    write: Write,
    interpret: Callable[[BucketEntry], _Result | None],
    *,
    done: _Result,
    gone: _Result,
) -> _Result:
    """Write where the hold is. ``refused`` says what an entry that stood in the way means; None: write again there."""
    number = ref.bucket
    for _ in range(_TRIES):
        existing = store.write(pool.pool_id, number, write)
        if existing is None:
            return done
        found = _locate(store, pool, ref, number, existing)
        if found is None:
            return gone
        number, seen = found
        result = interpret(seen)
        if result is not None:
            return result
    raise WriteConflict("the hold is being changed by others")


def _locate(
    store: StockStore, pool: Pool, ref: HoldRef, number: int, existing: Bucket
) -> tuple[int, BucketEntry] | None:
    """The hold's own entry and its bucket: in the bucket that stood in the way, or where home says. None: gone."""
    entry = existing.holds.get(ref.id)
    home = home_of(ref.id, pool)
    if number != home and not _is_or_was_hold(entry):
        number, entry = home, store.read_bucket(pool.pool_id, home, strong=True).holds.get(ref.id)
    if entry is not None and entry.points_to is not None:
        number = entry.points_to
        entry = store.read_bucket(pool.pool_id, number, strong=True).holds.get(ref.id)
    return (number, entry) if entry is not None and _is_or_was_hold(entry) else None


def _is_or_was_hold(entry: BucketEntry | None) -> bool:
    """Whether it has units, or had them before they were given back."""
    return entry is not None and (entry.has_units or entry.order is not None)


def tombstone(store: StockStore, pool: Pool, hold_id: str) -> bool:
    """Forbid a hold that is gone to come back. Where home points on, the other bucket is closed first, then home."""
    mark = BucketEntry(0)
    home = home_of(hold_id, pool)
    for _ in range(_TRIES):
        at_home = store.write(pool.pool_id, home, expressions.compare_and_set(hold_id, None, mark))
        own = None if at_home is None else at_home.holds.get(hold_id)
        if own is None or own.is_tombstone:
            return True
        if own.has_units:
            return False
        away = own.points_to if own.points_to is not None else home
        there = store.read_bucket(pool.pool_id, away, strong=True).holds.get(hold_id)
        if there is not None and there.has_units:
            return False
        if store.write(pool.pool_id, away, expressions.compare_and_set(hold_id, there, mark)) is not None:
            continue
        if store.write(pool.pool_id, home, expressions.compare_and_set(hold_id, own, mark)) is None:
            return True
    raise WriteConflict("the hold is being taken by others")


def get_hold_statuses(store: StockStore, refs: Sequence[tuple[Pool, HoldRef]]) -> list[HoldStatus | None]:
    """How each hold stands: read where it was taken, then at home, then where home points."""
    found: list[HoldStatus | None] = [None] * len(refs)
    wanted = {i: (pool.pool_id, ref.bucket) for i, (pool, ref) in enumerate(refs)}
    homes = {i: (layout.pool_id, home_of(ref.id, layout)) for i, (layout, ref) in enumerate(refs)}
    asked: set[tuple[int, str, int]] = set()
    while wanted:
        asked |= {(i, *place) for i, place in wanted.items()}
        buckets = store.read_buckets(wanted.values())
        onward: dict[int, tuple[str, int]] = {}
        for i, place in wanted.items():
            own = buckets[place].holds.get(refs[i][1].id) if place in buckets else None
            if own is not None and own.has_units:
                found[i] = HoldStatus(place[1], own.quantity, own.expires_at, own.order)
            else:
                points_to = None if own is None else own.points_to
                onward[i] = homes[i] if points_to is None else (place[0], points_to)
        wanted = {i: place for i, place in onward.items() if (i, *place) not in asked}
    return found
