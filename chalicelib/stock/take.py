"""Place a hold: at home first, else at another bucket that a pointer at home names.

At every instant at most one bucket can accept a given hold, whatever is late, doubled or cut. Home may accept it only
while home has no entry of it. A pointer is such an entry. A fence closes a bucket before the pointer leaves it. Simpler
protocols lose a unit or hold two (``infra/docs/stock-protocol.md#protocols-that-were-refused``).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, islice
from typing import Final

from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.stock import expressions
from chalicelib.stock.bucket import (
    FENCE_SECONDS,
    MAX_ENTRIES,
    MAX_ENTRIES_FOR_POINTERS,
    AlreadyHeld,
    Bucket,
    BucketEntry,
    Fenced,
    Forwarded,
    HasRoom,
    Insufficient,
    Tombstoned,
    evaluate,
)
from chalicelib.stock.consolidate import Consolidator
from chalicelib.stock.layout import hold_hash, home_of
from chalicelib.stock.model import Busy, HoldRef, InsufficientUnits, Pool, Summary, Taken, TakeResult
from chalicelib.stock.pointer_sweep import sweep_pointers
from chalicelib.stock.store import StockStore
from chalicelib.stock.summaries import Summaries
from chalicelib.stock.summary import refusal

MAX_PROBES: Final = 4
"""Eventually consistent reads of other buckets that one take may make, 0.5 RCU each."""

_MAX_WRITES_PER_BUCKET: Final = 3


class Take:
    """One try to place one hold. ``probes`` counts its reads of other buckets."""

    def __init__(
        self,
        store: StockStore,
        summaries: Summaries,
        consolidator: Consolidator,
        pool: Pool,
        hold_id: str,
        quantity: int,
        expires_at: UnixSeconds,
        now: Instant,
    ) -> None:
        self._store = store
        self._summaries = summaries
        self._consolidator = consolidator
        self._pool = pool
        self._hold_id = hold_id
        self._quantity = quantity
        self._expires_at = expires_at
        self._now = now
        self._seconds: UnixSeconds = now // SECOND
        self._home = home_of(hold_id, pool)
        self._spread = hold_hash(hold_id) // pool.bucket_count  # independent of home, which is the remainder
        self._current = self._home
        self._pointer: BucketEntry | None = None
        self._tried: set[int] = set()
        self._largest_obtainable = 0
        self.probes = 0

    def run(self, summary: Summary | None) -> TakeResult:
        """Place the hold. ``summary`` None: an earlier try may have placed it already, so home is asked first."""
        if summary is not None:
            outcome = refusal(summary, self._quantity, self._now, self._pause_ms())
            if isinstance(outcome, InsufficientUnits):
                return self._consolidate_and_take(summary) or outcome
            if outcome is not None:
                return outcome
        last_summary = summary if summary is not None else self._summaries.read_stored(self._pool.pool_id)
        result = self._try_home(last_summary, first_try=summary is not None)
        if result is None and last_summary is not None:
            result = self._try_overflow(last_summary)
        if result is not None:
            return result
        fresh = self._summaries.read_fresh(self._pool, self._home, self._now)
        return (
            self._retry_home(fresh)
            or self._try_overflow(fresh)
            or self._consolidate_and_take(fresh)
            or self._refuse(fresh)
        )

    def _try_home(self, summary: Summary | None, *, first_try: bool) -> TakeResult | None:
        """Ask home: by the write itself where it seems to have units, by a strong read where it may have the hold."""
        if summary is None or self._may_have_units(summary, self._home):
            return self._take_at(self._home, None)
        if first_try:
            return None
        return self._take_at(self._home, self._store.read_bucket(self._pool.pool_id, self._home, strong=True))

    def _retry_home(self, fresh: Summary) -> TakeResult | None:
        """Ask home if it has units after all; None when it was asked, or has none."""
        if self._pointer is None and self._home not in self._tried and self._may_have_units(fresh, self._home):
            return self._take_at(self._home, None)
        return None

    def _try_overflow(self, summary: Summary) -> TakeResult | None:
        """Try other buckets with units, one after another; None when none of them took the hold."""
        for number in self._candidates(summary):
            if self.probes >= MAX_PROBES:
                return None
            self.probes += 1
            self._tried.add(number)
            bucket = self._store.read_bucket(self._pool.pool_id, number, strong=False)
            match evaluate(bucket, self._hold_id, self._quantity, self._seconds, fenced_pointer=self._pointer):
                case Insufficient(obtainable):
                    self._note_shortfall(number, obtainable)
                case AlreadyHeld():
                    return self._take_at(self._home, None)  # home has the hold, or points here
                case HasRoom():
                    result = self._move_to(number, bucket)
                    if result is not None:
                        return result
        return None

    def _candidates(self, summary: Summary) -> list[int]:
        """List buckets to read, from a start of the hold's own. The fullest bucket is the last read at the latest."""
        numbers, closed = summary.open_buckets, {*self._tried, self._current}
        start = bisect_left(numbers, self._scan_start)
        others = (n for n in chain(islice(numbers, start, None), islice(numbers, start)) if n not in closed)
        candidates = list(islice((n for n in others if self._may_have_units(summary, n)), MAX_PROBES))
        fullest = summary.fullest_bucket
        if self._quantity > 1 and fullest is not None and fullest not in closed.union(candidates):
            candidates.insert(MAX_PROBES - 1, fullest)
        return candidates

    def _consolidate_and_take(self, summary: Summary) -> TakeResult | None:
        """Consolidate fragments in one bucket, and place the hold there."""
        number = self._consolidator.gather(self._pool, summary, self._quantity, self._scan_start, self._now)
        if number is None:
            return None
        bucket = self._store.read_bucket(self._pool.pool_id, number, strong=True)
        return self._take_at(number, bucket) if number == self._current else self._move_to(number, bucket)

    @property
    def _scan_start(self) -> int:
        return self._spread % self._pool.bucket_count

    def _move_to(self, number: int, bucket: Bucket) -> TakeResult | None:
        """Close the bucket that may accept the hold now, name bucket ``number`` at home, and place the hold there."""
        pool_id, hold_id = self._pool.pool_id, self._hold_id
        pointer = BucketEntry(0, points_to=number, version=self._now)
        if self._pointer is None:
            existing = self._store.write(
                pool_id, self._home, expressions.set_pointer(hold_id, pointer, MAX_ENTRIES_FOR_POINTERS)
            )
            if existing is not None and hold_id not in existing.holds:
                sweep_pointers(self._store, self._pool, existing, self._now)
                existing = self._store.write(
                    pool_id, self._home, expressions.set_pointer(hold_id, pointer, MAX_ENTRIES)
                )
        else:
            result = self._fence_bucket()
            if result is not None:
                return result
            if number == self._home:
                return self._take_at(number, bucket)
            existing = self._store.write(
                pool_id, self._home, expressions.compare_and_set(hold_id, self._pointer, pointer)
            )
        if existing is not None:
            return self._learn_from_home(existing)
        self._current, self._pointer = number, pointer
        return self._take_at(number, bucket)

    def _fence_bucket(self) -> TakeResult | None:
        """Fence the bucket that the pointer leaves; a result when that bucket has the hold, or no room for a fence."""
        fence = expressions.set_fence(self._hold_id, self._seconds + FENCE_SECONDS)
        existing = self._store.write(self._pool.pool_id, self._current, fence)
        if existing is None:
            return None
        own = existing.holds.get(self._hold_id)
        return self._already_taken(self._current, own) if own is not None and own.has_units else self._busy()

    def _learn_from_home(self, home: Bucket) -> TakeResult | None:
        """Go where another request for the same hold went. Busy when home has no room for a pointer."""
        own = home.holds.get(self._hold_id)
        if own is None or own.is_tombstone:
            return self._busy()
        return self._already_taken(self._home, own) if own.has_units else self._follow_pointer(own)

    def _follow_pointer(self, pointer: BucketEntry) -> TakeResult | None:
        assert pointer.points_to is not None
        self._current, self._pointer = pointer.points_to, pointer
        self._tried.discard(self._home)  # it may have units again, and the hold may return to it
        bucket = self._store.read_bucket(self._pool.pool_id, self._current, strong=True)
        return self._take_at(self._current, bucket)

    def _take_at(self, number: int, bucket: Bucket | None) -> TakeResult | None:
        """Place the hold at a bucket that may accept it; ``bucket`` None: without a read. None: too few units there."""
        self._tried.add(number)
        for _ in range(_MAX_WRITES_PER_BUCKET):
            evaluation = (
                HasRoom()
                if bucket is None
                else evaluate(bucket, self._hold_id, self._quantity, self._seconds, fenced_pointer=self._pointer)
            )
            match evaluation:
                case AlreadyHeld(entry):
                    return self._already_taken(number, entry)
                case Forwarded(pointer):
                    return self._follow_pointer(pointer)
                case Tombstoned():
                    return self._busy()
                case Fenced():
                    return None
                case Insufficient(obtainable):
                    self._note_shortfall(number, obtainable)
                    return None
                case HasRoom():
                    write = expressions.place_hold(
                        self._hold_id, BucketEntry(self._quantity, self._expires_at), evaluation
                    )
            bucket = self._store.write(self._pool.pool_id, number, write)
            if bucket is None:
                return Taken(HoldRef(self._hold_id, number, self._quantity, self._expires_at))
        return None

    def _may_have_units(self, summary: Summary, number: int) -> bool:
        return self._summaries.may_have_units(summary, number, self._now)

    def _note_shortfall(self, number: int, obtainable: int) -> None:
        self._largest_obtainable = max(self._largest_obtainable, obtainable)
        if not obtainable:
            self._summaries.remember_empty(self._pool.pool_id, number, self._now)

    def _already_taken(self, number: int, entry: BucketEntry) -> Taken:
        """Answer for a hold that exists already, with its stored quantity and end."""
        expires_at = self._expires_at if entry.expires_at is None else entry.expires_at
        return Taken(HoldRef(self._hold_id, number, entry.quantity, expires_at), replay=True, committed=entry.is_sold)

    def _refuse(self, fresh: Summary) -> TakeResult:
        reason = refusal(fresh, self._quantity, self._now, self._pause_ms())
        if reason is not None:
            return reason
        all_tried = self._tried.issuperset(fresh.open_buckets)
        if all_tried and self._largest_obtainable:
            return InsufficientUnits(self._largest_obtainable)
        return self._busy()

    def _busy(self) -> Busy:
        return Busy(self._pause_ms())

    def _pause_ms(self) -> int:
        """Return 250 to 1,249 ms, by hold id: buyers refused together do not retry together."""
        return 250 + self._spread % 1_000
