"""Taking stock away while a drop runs: only what nobody holds or bought, and each unit once."""

from __future__ import annotations

from typing import Final

from chalicelib.errors import WriteConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, choose_reclaims
from chalicelib.stock.model import Pool
from chalicelib.stock.store import StockStore

_TRIES: Final = 10


def withdraw(store: StockStore, pool: Pool, plan: int, quantity: int, now: Instant) -> int | None:
    """Take up to ``quantity`` units out of the buckets by a numbered plan; how many it took in all. None: overtaken.

    Every process that carries out the plan visits the buckets in the same order, and each bucket keeps what the plan
    took there: so all of them agree on what is left to take at the next bucket, whoever wrote.
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
    """What the plan takes, or took, out of one bucket. So many lapsed holds that one write cannot take them over are
    made available before, some at a time."""
    seconds, refusals = now // SECOND, 0
    bucket: Bucket = store.read_bucket(pool_id, number, strong=True)
    while refusals < _TRIES:
        if bucket.plan is not None and bucket.plan >= plan:
            return bucket.withdrawn if bucket.plan == plan else None
        units = min(wanted, bucket.obtainable_in_one_write(seconds))
        reclaim = choose_reclaims(bucket, units, seconds)
        assert reclaim is not None
        if units < min(wanted, bucket.obtainable(seconds)):
            existing = store.write(pool_id, number, expressions.reclaim_expired(reclaim))
            refusals += existing is not None
            bucket = existing or store.read_bucket(pool_id, number, strong=True)
            continue
        existing = store.write(pool_id, number, expressions.withdraw(plan, units, reclaim))
        if existing is None:
            return units
        bucket, refusals = existing, refusals + 1
    raise WriteConflict(f"bucket {number} of drop {pool_id} is too busy; repeat the request")
