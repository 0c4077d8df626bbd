"""Sweep of the pointers and fences that no hold needs any more, in a home that is full of them."""

from __future__ import annotations

from typing import Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import FENCE_SECONDS, Bucket, BucketEntry
from chalicelib.stock.model import Pool
from chalicelib.stock.store import StockStore

_MAX_POINTERS: Final = 10
"""Pointers that one sweep removes: one write at the bucket of each, and one at home for all."""


def sweep_pointers(store: StockStore, pool: Pool, home: Bucket, now: Instant) -> None:
    """Remove the home's expired fences, and pointers whose target has nothing of the hold.

    Each target is fenced before its pointer goes: it may not accept the hold afterwards. Pointers younger than the life
    of a fence stay, as a take may still follow them.
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
        if entry.points_to is None:
            continue
        bucket = buckets.get((pool.pool_id, entry.points_to))
        if bucket is None or not _has_no_units(bucket.holds.get(name)):
            continue
        fence = expressions.set_fence(name, seconds + FENCE_SECONDS)
        if store.write(pool.pool_id, entry.points_to, fence) is None:
            removable[name] = entry
    if removable:
        store.write(pool.pool_id, home.number, expressions.remove_entries(removable))


def _has_no_units(entry: BucketEntry | None) -> bool:
    """Tell whether a bucket has nothing of the hold, or only its fence."""
    return entry is None or (not entry.has_units and entry.expires_at is not None)
