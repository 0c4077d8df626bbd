"""Consolidation: move fragments, single units left in many buckets, into one bucket for a buyer of several units."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from threading import Lock
from typing import Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, choose_reclaims
from chalicelib.stock.expressions import Write
from chalicelib.stock.model import Pool, Summary
from chalicelib.stock.store import StockStore

_MAX_BUCKETS: Final = 8
"""Buckets that one consolidation reads (1 RCU each) and may write (2 WCU each)."""

_MIN_INTERVAL: Final[Instant] = 1 * SECOND
"""The time between two consolidations of a pool in one process. Other buyers are offered fewer units meanwhile."""


class Consolidator:
    """Moves units between buckets in one small transaction, so that one bucket has the units of one buyer.

    A move is no hold: cut, doubled or late, it changes no sum. Committed units and holds that have not expired stay.
    """

    def __init__(self, store: StockStore) -> None:
        self._store = store
        self._lock = Lock()
        self._last_run: dict[str, Instant] = {}

    def gather(self, pool: Pool, summary: Summary, quantity: int, start: int, now: Instant) -> int | None:
        """Gather ``quantity`` units in one bucket and return its number; None when it was not tried, or failed.

        Not tried for more units than a full bucket of the pool has: bulk buyers would heap up small holds in one.
        """
        usual_size = summary.size // pool.bucket_count
        if not 1 < quantity <= min(usual_size, summary.available) or not self._is_due(pool.pool_id, now):
            return None
        found = self._store.read_buckets((pool.pool_id, number) for number in _candidates(summary, start))
        buckets = sorted(found.values(), key=lambda bucket: -bucket.obtainable_in_one_write(now // SECOND))
        if not buckets:
            return None
        target, *others = buckets
        missing = quantity - target.obtainable_in_one_write(now // SECOND)
        writes = _moves_out_of(others, missing, now)
        if missing > 0:
            if writes is None:
                return None
            writes[target.number] = expressions.move_in(missing)
            if not self._store.write_together(pool.pool_id, writes):
                return None
        return target.number

    def _is_due(self, pool_id: str, now: Instant) -> bool:
        with self._lock:
            last = self._last_run.get(pool_id)
            if last is not None and abs(now - last) < _MIN_INTERVAL:
                return False
            self._last_run[pool_id] = now
            return True


def _candidates(summary: Summary, start: int) -> Iterable[int]:
    """List some buckets with units: the fullest first, then from bucket ``start`` on."""
    numbers = sorted(
        summary.open_buckets, key=lambda number: (number != summary.fullest_bucket, number < start, number)
    )
    return islice(numbers, _MAX_BUCKETS)


def _moves_out_of(buckets: Iterable[Bucket], missing: int, now: Instant) -> dict[int, Write] | None:
    """Return the writes that take ``missing`` units out of these buckets; None when they do not have so many."""
    writes: dict[int, Write] = {}
    for bucket in buckets:
        units = min(missing, bucket.obtainable_in_one_write(now // SECOND))
        reclaim = choose_reclaims(bucket, units, now // SECOND)
        if units <= 0 or reclaim is None:
            break
        writes[bucket.number] = expressions.move_out(units, reclaim)
        missing -= units
    return writes if missing <= 0 else None
