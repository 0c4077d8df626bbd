"""Stock adjustments of a running drop, each with a number, so that every bucket applies it once."""

from __future__ import annotations

from typing import Final

from chalicelib.errors import InvariantBroken, WriteConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, choose_reclaims
from chalicelib.stock.layout import plan_additions
from chalicelib.stock.model import Pool
from chalicelib.stock.store import StockStore

_TRIES: Final = 10


def add_units(store: StockStore, pool: Pool, plan: int, quantity: int, usual_quantity: int) -> None:
    """Add units to the buckets by a numbered plan; skip the buckets that have it already."""
    shares = {n: units for n, units in enumerate(plan_additions(pool, plan, quantity, usual_quantity)) if units}
    if len(shares) > 1:
        found = store.read_buckets((pool.pool_id, number) for number in shares)
        done = {bucket.number for bucket in found.values() if (bucket.plan or 0) >= plan}
        shares = {number: units for number, units in shares.items() if number not in done}
    for number, units in shares.items():
        store.write(pool.pool_id, number, expressions.add_units(plan, units))


def withdraw(store: StockStore, pool: Pool, plan: int, quantity: int, now: Instant) -> int | None:
    """Take up to ``quantity`` units out of the buckets by a numbered plan; return how many it took in all.

    Takes available units and expired holds only. None when a bucket had a later plan. Every process that carries out
    the plan visits the buckets in the same order, and each bucket records what the plan took there. So all processes
    agree on what is left to take at the next bucket, whichever of them wrote.
    """
    remaining, start = quantity, plan % pool.bucket_count
    for number in (*range(start, pool.bucket_count), *range(start)):
        if remaining == 0:
            break
        taken = _withdraw_at(store, pool.pool_id, number, plan, remaining, now)
        if taken is None:
            return None
        remaining -= taken
    return quantity - remaining


def _withdraw_at(store: StockStore, pool_id: str, number: int, plan: int, wanted: int, now: Instant) -> int | None:
    """Return what the plan takes, or took, out of one bucket.

    Where one write cannot reclaim all expired holds, they are made available first, up to 75 a write.
    """
    seconds, refusals = now // SECOND, 0
    bucket: Bucket = store.read_bucket(pool_id, number, strong=True)
    while refusals < _TRIES:
        if bucket.plan is not None and bucket.plan >= plan:
            return bucket.withdrawn if bucket.plan == plan else None
        units = min(wanted, bucket.obtainable_in_one_write(seconds))
        reclaim = choose_reclaims(bucket, units, seconds)
        if reclaim is None:
            raise InvariantBroken(f"Bucket {number} of {pool_id} offers {units} units that one write cannot take.")
        if units < min(wanted, bucket.obtainable(seconds)):
            existing = store.write(pool_id, number, expressions.reclaim_expired(reclaim))
            refusals += existing is not None
            bucket = existing or store.read_bucket(pool_id, number, strong=True)
            continue
        existing = store.write(pool_id, number, expressions.withdraw(plan, units, reclaim))
        if existing is None:
            return units
        bucket, refusals = existing, refusals + 1
    raise WriteConflict(f"Other requests are changing bucket {number} of {pool_id}. Retry later.")
