"""Live summaries: computed from strong reads of the buckets, then written over the summary that was read before them.

Up to 400 buckets are summarised whole. Beyond, every 100 buckets are a segment with a summary of its own. A segment is
recomputed when one of its buckets changed or a hold in it expired, and the summary of the pool adds the segments up. A
drop of 100,000 units costs 100 RCU a changed segment and 1 RCU for each of its 42 segments, not 4,200 RCU.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock.bucket import Bucket
from chalicelib.stock.layout import MAX_BUCKETS_UNSEGMENTED
from chalicelib.stock.model import Pool, Summary
from chalicelib.stock.store import StockStore
from chalicelib.stock.summary import (
    combine_segments,
    has_expired_hold,
    summarise,
    summary_from_record,
    summary_to_record,
)

MAX_SUMMARY_AGE: Final[Instant] = 1 * SECOND
"""The age up to which a summary may be the reason of a refusal."""

BUCKETS_PER_SEGMENT: Final = 100
"""Buckets of a segment: as many as one batch read returns."""

TRIES: Final = 3
"""Writes of a summary that rivals may refuse before it is left to them."""

_CHANGE_SEEN_AFTER: Final[Instant] = 3 * SECOND
"""The time after a change when a reading is certain to contain it: streams give whole seconds, clocks differ by two."""

Changes = Mapping[int, Instant]
"""Buckets that changed, with the instant of the last change of each."""


class Summaries:
    """Reads and recomputes summaries. In a process one thread at a time recomputes that of a pool; the others wait."""

    def __init__(self, store: StockStore) -> None:
        self._store = store
        self._latest: dict[str, Summary] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._empty_since: dict[tuple[str, int], Instant] = {}

    def remember_empty(self, pool_id: str, number: int, now: Instant) -> None:
        """Remember that a take found no unit in a bucket."""
        self._empty_since[pool_id, number] = now

    def may_have_units(self, summary: Summary, number: int, now: Instant) -> bool:
        """Tell whether a bucket has units by the summary, and no take of this process found it empty since.

        An empty bucket is remembered for a second at most, as nothing tells a process that units returned. A bucket
        believed empty is only skipped. This never justifies answering *sold out*. It saves the writes that would be
        refused between the bucket's last unit and the summary that shows it.
        """
        position = bisect_left(summary.open_buckets, number)
        if position == len(summary.open_buckets) or summary.open_buckets[position] != number:
            return False
        return self._empty_since.get((summary.pool_id, number), 0) <= max(summary.as_of, now - MAX_SUMMARY_AGE)

    def read_stored(self, pool_id: str) -> Summary | None:
        """Read the summary as it was last written: 0.5 RCU."""
        record = self._store.summary_record(pool_id, strong=False)
        return None if record is None else summary_from_record(pool_id, record)

    def read_fresh(self, pool: Pool, bucket: int, now: Instant) -> Summary:
        """Return a summary at most a second old: this process's last one, else the stored one, else a new one.

        Of a pool with segments, only that of ``bucket`` is recomputed, and those in which a hold has expired.
        """
        with self._locks.setdefault(pool.pool_id, threading.Lock()):
            for candidate in (self._latest.get, self.read_stored):
                summary = candidate(pool.pool_id)
                if (
                    summary is not None
                    and abs(now - summary.as_of) <= MAX_SUMMARY_AGE
                    and not has_expired_hold(summary, now)
                ):
                    self._latest[pool.pool_id] = summary
                    return summary
            return self.refresh(pool, now, {bucket: now})

    def write_initial(self, pool_id: str, sizes: Sequence[int], now: Instant) -> None:
        """Write the first summary of new buckets without reading them, unless there is one. 1 WCU, and 1 a segment."""
        buckets = [Bucket(number, size, size) for number, size in enumerate(sizes)]
        if len(sizes) > MAX_BUCKETS_UNSEGMENTED:
            for segment, numbers in enumerate(_segments(len(sizes))):
                part = summarise(pool_id, (buckets[number] for number in numbers), None, now)
                record = summary_to_record(part, numbers.start)
                self._store.put_summary(pool_id, record, seen_as_of=None, segment=segment)
        first = summarise(pool_id, buckets, None, now)
        if self._store.put_summary(pool_id, summary_to_record(first), seen_as_of=None):
            self._latest[pool_id] = first

    def refresh(self, pool: Pool, now: Instant, changes: Changes | None = None) -> Summary:
        """Recompute the summary by strong reads, and write it over the one that was read *before* them.

        ``changes`` saves the reads of segments without a change; None: all are read.

        No clock decides which of two summaries is newer. A write refused three times is left to the winners. The third
        winner read the summary after the second put it, and the second put it after this call put its segments. So the
        third winner's summary contains the change that caused this call. (The second's may not.)
        """
        summary = self._recompute(pool, now, changes)
        self._latest[pool.pool_id] = summary
        return summary

    def refresh_all(self, changes: Mapping[Pool, Changes], now: Instant) -> None:
        """Refresh many summaries: the same reads, 100 a call. One that a rival wrote meanwhile is refreshed alone."""
        records = self._store.summary_records([pool.pool_id for pool in changes])
        unsegmented = [pool for pool in changes if pool.bucket_count <= MAX_BUCKETS_UNSEGMENTED]
        found = self._store.read_buckets(
            (pool.pool_id, number) for pool in unsegmented for number in range(pool.bucket_count)
        )
        for pool in unsegmented:
            record = records.get(pool.pool_id)
            buckets = (found[place] for n in range(pool.bucket_count) if (place := (pool.pool_id, n)) in found)
            summary = summarise(pool.pool_id, buckets, _summary_or_none(pool.pool_id, record), now)
            if summary.sold_out or not self._try_put(summary, record):
                self.refresh(pool, now)
        for pool in changes.keys() - set(unsegmented):
            self.refresh(pool, now, changes[pool])

    def _recompute(self, pool: Pool, now: Instant, changes: Changes | None) -> Summary:
        pool_id = pool.pool_id
        for _ in range(TRIES):
            record = self._store.summary_record(pool_id, strong=True)
            before = _summary_or_none(pool_id, record)
            if pool.bucket_count <= MAX_BUCKETS_UNSEGMENTED:
                summary = summarise(pool_id, self._buckets(pool_id, range(pool.bucket_count)), before, now)
            else:
                summary = combine_segments(self._segment_summaries(pool, now, changes), before, now)
            if summary.sold_out and not self._is_sold_out(pool, now):
                summary = replace(summary, sold_out_at=None)
            if self._try_put(summary, record):
                break
            changes = {}
        return summary

    def _is_sold_out(self, pool: Pool, now: Instant) -> bool:
        """Tell whether every unit was committed at one instant: two equal readings of all buckets. 2 RCU a bucket.

        One reading is no proof: a unit may return to a bucket already read, before the last unit is committed in a
        bucket not yet read. Then a unit was free all the time. Two equal readings show the state at the instant between
        them, as a bucket without a free unit never returns to an earlier state. Returned units are never committed to
        the same hold at the same epoch again. Moved units are counted where they belong.
        """
        everywhere = [(pool.pool_id, number) for number in range(pool.bucket_count)]
        first, second = self._store.read_buckets(everywhere), self._store.read_buckets(everywhere)
        return first == second and summarise(pool.pool_id, second.values(), None, now).sold_out

    def _segment_summaries(self, pool: Pool, now: Instant, changes: Changes | None) -> list[Summary]:
        """Return the summaries of all segments, in order; recompute those that may have changed."""
        pool_id, segments = pool.pool_id, _segments(pool.bucket_count)
        records = self._store.segment_records(pool_id, len(segments))
        touched: dict[int, Instant] = {}
        for number, at in (dict.fromkeys(range(pool.bucket_count), now) if changes is None else changes).items():
            touched[number // BUCKETS_PER_SEGMENT] = max(at, touched.get(number // BUCKETS_PER_SEGMENT, 0))
        return [
            self._segment_summary(pool_id, segment, numbers, records.get(segment), touched.get(segment), now)
            for segment, numbers in enumerate(segments)
        ]

    def _segment_summary(
        self,
        pool_id: str,
        segment: int,
        numbers: range,
        record: Mapping[str, int] | None,
        changed_at: Instant | None,
        now: Instant,
    ) -> Summary:
        """Return a segment's summary; recompute it when there is none, a bucket changed since, or a hold expired."""
        stored = _summary_or_none(pool_id, record)
        if stored is not None and not has_expired_hold(stored, now):
            is_current = changed_at is None or changed_at + _CHANGE_SEEN_AFTER <= stored.as_of
            if is_current:
                return stored
        for _ in range(2):
            summary = summarise(pool_id, self._buckets(pool_id, numbers), None, now)
            if self._try_put(summary, record, segment):
                break
            record = self._store.summary_record(pool_id, strong=True, segment=segment)
        return summary

    def _buckets(self, pool_id: str, numbers: Iterable[int]) -> Iterable[Bucket]:
        return self._store.read_buckets((pool_id, number) for number in numbers).values()

    def _try_put(self, summary: Summary, record: Mapping[str, int] | None, segment: int | None = None) -> bool:
        """Put a summary over the record that was read before its buckets. False: a rival put one.

        An equal summary is put as well: only a put refuses a slower rival with an older reading of the buckets.
        """
        before = _summary_or_none(summary.pool_id, record)
        written = summary_to_record(summary, 0 if segment is None else segment * BUCKETS_PER_SEGMENT)
        if before is not None:
            written["as_of"] = max(summary.as_of, before.as_of + 1)
        seen_as_of = None if before is None else before.as_of
        return self._store.put_summary(summary.pool_id, written, seen_as_of=seen_as_of, segment=segment)


def _segments(count: int) -> list[range]:
    return [range(start, min(start + BUCKETS_PER_SEGMENT, count)) for start in range(0, count, BUCKETS_PER_SEGMENT)]


def _summary_or_none(pool_id: str, record: Mapping[str, int] | None) -> Summary | None:
    return None if record is None else summary_from_record(pool_id, record)
