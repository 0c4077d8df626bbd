"""Keeping live summaries: made from strong reads of the buckets, written over what was read before.

Up to 400 buckets are summarised whole. Beyond, each hundred is a segment with a summary of its own, made anew when one
of its buckets changed or a hold in it lapsed, and the drop's summary adds the segments up: a drop of 100,000 units
costs 100 RCU a touched segment and one for each of its 42 segments, not 4,200.
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
"""How old a summary may be that a refusal rests on."""

BUCKETS_PER_SEGMENT: Final = 100
"""Buckets of a segment: one batch read."""

TRIES: Final = 3
"""Writes of a summary, refused as rivals won, before it is left to them."""

_CHANGE_SEEN_AFTER: Final[Instant] = 3 * SECOND
"""A segment read so long after a change has seen it: streams tell whole seconds, and clocks may differ by two."""

Changes = Mapping[int, Instant]
"""Buckets that changed, and when each did last."""


class Summaries:
    """Reads and makes summaries. In a process, one thread at a time makes the summary of a drop; the others wait."""

    def __init__(self, store: StockStore) -> None:
        self._store = store
        self._latest: dict[str, Summary] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._seen_empty: dict[tuple[str, int], Instant] = {}

    def remember_empty(self, pool_id: str, number: int, now: Instant) -> None:
        """A take has seen nothing to be had in a bucket."""
        self._seen_empty[pool_id, number] = now

    def may_have_units(self, summary: Summary, number: int, now: Instant) -> bool:
        """Whether a bucket has units, as the summary has it, and no take of this process saw it empty since.

        For a second at most: nothing tells a process of units that come back. What seems closed is not asked, no more:
        that nothing is left is never said on this ground. It spares the refused write of everybody who comes between a
        bucket's end and the summary that shows it.
        """
        position = bisect_left(summary.open_buckets, number)
        if position == len(summary.open_buckets) or summary.open_buckets[position] != number:
            return False
        return self._seen_empty.get((summary.pool_id, number), 0) <= max(summary.as_of, now - MAX_SUMMARY_AGE)

    def read_stored(self, pool_id: str) -> Summary | None:
        """As last written: 0.5 RCU."""
        record = self._store.summary_record(pool_id, strong=False)
        return None if record is None else summary_from_record(pool_id, record)

    def read_fresh(self, pool: Pool, bucket: int, now: Instant) -> Summary:
        """One at most a second old: what this process had last, else what is written, else made anew.

        Of a drop with segments, the one of ``bucket`` is made anew, and any in which a lapse is due.
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
        """Write the first summary of buckets that were just laid out, unread, unless there is one. 1 WCU.

        One WCU more for each segment, where there are any.
        """
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
        """Make it from strong reads, and write it over the one that was read *before* them, if it differs.

        ``changes`` spares the segments that nothing changed in; None: all are read.

        No clock decides which of two summaries is newer. A write refused three times is left to whoever won: the
        third winner read the summary after the second had put it, which was after this call had put its segments, so
        it has seen whatever this call was made for. (The second may have read the segments before.)
        """
        summary = self._recompute(pool, now, changes)
        self._latest[pool.pool_id] = summary
        return summary

    def refresh_all(self, changes: Mapping[Pool, Changes], now: Instant) -> None:
        """Refresh many at once: the same reads, a hundred a call. One that a rival wrote meanwhile is made alone."""
        records = self._store.summary_records([pool.pool_id for pool in changes])
        unsegmented = [layout for layout in changes if layout.bucket_count <= MAX_BUCKETS_UNSEGMENTED]
        found = self._store.read_buckets(
            (layout.pool_id, number) for layout in unsegmented for number in range(layout.bucket_count)
        )
        for layout in unsegmented:
            record = records.get(layout.pool_id)
            buckets = (found[place] for n in range(layout.bucket_count) if (place := (layout.pool_id, n)) in found)
            summary = summarise(layout.pool_id, buckets, _summary_or_none(layout.pool_id, record), now)
            if summary.sold_out or not self._try_put(summary, record):
                self.refresh(layout, now)
        for layout in changes.keys() - set(unsegmented):
            self.refresh(layout, now, changes[layout])

    def _recompute(self, pool: Pool, now: Instant, changes: Changes | None) -> Summary:
        pool_id, summary = pool.pool_id, None
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
        assert summary is not None
        return summary

    def _is_sold_out(self, pool: Pool, now: Instant) -> bool:
        """Whether every unit was sold at one instant: two readings of all buckets found the same, and all sold.

        One reading is no proof: a unit that was given back to a bucket already read, before the last one was sold in a
        bucket not yet read, was free all the time. What two readings found stood at the instant between them, as a
        bucket without a free unit does not come back to what it was: units given back are never sold to the same hold
        at the same epoch again, and units that move are counted where they belong. 2 RCU a bucket, when it is told.
        """
        everywhere = [(pool.pool_id, number) for number in range(pool.bucket_count)]
        first, second = self._store.read_buckets(everywhere), self._store.read_buckets(everywhere)
        return first == second and summarise(pool.pool_id, second.values(), None, now).sold_out

    def _segment_summaries(self, pool: Pool, now: Instant, changes: Changes | None) -> list[Summary]:
        """The summaries of all segments, in order; those that may have changed are made anew."""
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
        """A segment's summary, made anew where it does not stand, or a bucket changed since, or a hold lapsed."""
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

        Also one that says the same: a slower rival with an older reading of the buckets is refused only by a put.
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
