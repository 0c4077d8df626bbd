"""Raking crumbs together: single units left over in many buckets, when everyone wants two."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from threading import Lock
from typing import Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, to_reclaim
from chalicelib.stock.expressions import Write
from chalicelib.stock.model import Layout, Summary
from chalicelib.stock.store import StockStore

_AT_ONCE: Final = 8
"""Buckets that one raking reads (1 RCU each) and may write (2 WCU each)."""

_PAUSE: Final[Instant] = 1 * SECOND
"""A process rakes a drop once in so long: others are offered fewer meanwhile."""


class Rake:
    """Moves units between buckets in one small transaction, so that one of them has what a buyer asks for.

    A move is no hold: it may be cut, doubled or late and changes no sum. Sold and living holds stay where they are.
    """

    def __init__(self, store: StockStore) -> None:
        self._store = store
        self._lock = Lock()
        self._raked: dict[str, Instant] = {}

    def gather(self, layout: Layout, summary: Summary, quantity: int, start: int, now: Instant) -> int | None:
        """The bucket that now has ``quantity`` units. None: it was not tried, or too few were found.

        Tried for what a full bucket of the drop could have, so that bulk buyers do not heap up small sales in one.
        """
        usual = summary.size // layout.homes
        if not 1 < quantity <= min(usual, summary.available) or not self._my_turn(layout.drop_id, now):
            return None
        found = self._store.read_buckets((layout.drop_id, number) for number in _around(summary, start))
        buckets = sorted(found.values(), key=lambda bucket: -bucket.obtainable_at_once(now // SECOND))
        if not buckets:
            return None
        target, *others = buckets
        missing = quantity - target.obtainable_at_once(now // SECOND)
        writes = _moves(others, missing, now)
        if missing > 0:
            if writes is None:
                return None
            writes[target.number] = expressions.move_in(missing)
            if not self._store.write_together(layout.drop_id, writes):
                return None
        return target.number

    def _my_turn(self, drop_id: str, now: Instant) -> bool:
        with self._lock:
            last = self._raked.get(drop_id)
            if last is not None and abs(now - last) < _PAUSE:
                return False
            self._raked[drop_id] = now
            return True


def _around(summary: Summary, start: int) -> Iterable[int]:
    """Some buckets with units: the fullest, and others in an order of the hold's own."""
    numbers = sorted(summary.open_buckets, key=lambda number: (number != summary.largest_in, number < start, number))
    return islice(numbers, _AT_ONCE)


def _moves(buckets: Iterable[Bucket], missing: int, now: Instant) -> dict[int, Write] | None:
    """What takes ``missing`` units out of these buckets; None: they do not have them."""
    writes: dict[int, Write] = {}
    for bucket in buckets:
        units = min(missing, bucket.obtainable_at_once(now // SECOND))
        reclaim = to_reclaim(bucket, units, now // SECOND)
        if units <= 0 or reclaim is None:
            break
        writes[bucket.number] = expressions.move_out(units, reclaim)
        missing -= units
    return writes if missing <= 0 else None
