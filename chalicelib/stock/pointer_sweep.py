"""Making room in a bucket that is full of pointers and fences."""

from __future__ import annotations

from typing import Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import FENCE_SECONDS, Bucket, BucketEntry
from chalicelib.stock.model import Pool
from chalicelib.stock.store import StockStore

_MAX_POINTERS: Final = 10
"""Pointers that one sweep takes away: a write at each one's bucket, and one at home for all."""


def sweep_pointers(store: StockStore, pool: Pool, home: Bucket, now: Instant) -> None:
    """Remove fences that have lapsed, and pointers of holds that are over, where there are any.

    A pointer may only go as a hold may go home: the bucket it names, which has nothing of the hold, is fenced first.
    Those younger than a fence lives belong to takes that may still be on their way, and stay.
    """
    seconds = now // SECOND
    removable = {name: entry for name, entry in home.holds.items() if not entry.has_units and entry.is_expired(seconds)}
    pointers = [
        (entry.version or 0, name, entry)
        for name, entry in home.holds.items()
        if entry.points_to is not None and (entry.version or 0) + FENCE_SECONDS * SECOND < now
    ]
    oldest = sorted(pointers, key=lambda pointer: pointer[:2])[:_MAX_POINTERS]
    buckets = store.read_buckets(
        (pool.pool_id, entry.points_to) for _, _, entry in oldest if entry.points_to is not None
    )
    for _, name, entry in oldest:
        assert entry.points_to is not None
        bucket = buckets.get((pool.pool_id, entry.points_to))
        if bucket is None or not _has_no_units(bucket.holds.get(name)):
            continue
        fence = expressions.set_fence(name, seconds + FENCE_SECONDS)
        if store.write(pool.pool_id, entry.points_to, fence) is None:
            removable[name] = entry
    if removable:
        store.write(pool.pool_id, home.number, expressions.remove_entries(removable))


def _has_no_units(entry: BucketEntry | None) -> bool:
    """Nothing of the hold, or the fence that it left."""
    return entry is None or (not entry.has_units and entry.expires_at is not None)
