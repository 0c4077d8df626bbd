"""The live summary of a drop: derived from its buckets, never incremented."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.instants import SECOND, Instant
from chalicelib.stock.bucket import CLOCK_MARGIN_SECONDS, Bucket, Entry
from chalicelib.stock.model import AllHeld, Busy, EpochSeconds, Fewer, Layout, SoldOut, Summary
from chalicelib.stock.store import StockStore

FRESH_FOR: Instant = 1 * SECOND
"""How old a summary may be that a refusal rests on."""


def summarise(drop_id: str, buckets: Iterable[Bucket], before: Summary | None, now: Instant) -> Summary:
    """What buckets read from ``now`` on add up to. The sold-out instant is kept while the drop stays sold out."""
    seconds = now // SECOND
    size = available = held = sold = largest = 0
    largest_in: int | None = None
    open_buckets: list[int] = []
    ends: list[EpochSeconds] = []
    for bucket in buckets:
        obtainable = bucket.obtainable(seconds)
        living = [entry for entry in bucket.holds.values() if entry.is_held and not entry.lapsed(seconds)]
        size += bucket.size
        available += obtainable
        held += sum(entry.quantity for entry in living)
        sold += sum(entry.quantity for entry in bucket.holds.values() if entry.is_sold)
        ends += [entry.until for entry in living if entry.until is not None]
        if obtainable > 0:
            open_buckets.append(bucket.number)
        if obtainable > largest:
            largest, largest_in = obtainable, bucket.number
    return Summary(
        drop_id=drop_id,
        size=size,
        available=available,
        held=held,
        sold=sold,
        open_buckets=tuple(sorted(open_buckets)),
        next_lapse_at=min(ends, default=None),
        sold_out_at=_sold_out_at(size, sold, before, now),
        as_of=now,
        largest=largest,
        largest_in=largest_in,
    )


def _sold_out_at(size: int, sold: int, before: Summary | None, now: Instant) -> Instant | None:
    if size == 0 or sold != size:
        return None
    return before.sold_out_at if before is not None and before.sold_out else now


def summary_of(drop_id: str, record: Mapping[str, Any]) -> Summary:
    """A summary from the record that :func:`record_of_summary` made (the ``LIVE`` item of the drop)."""
    bits = int.from_bytes(record["open"], "little")
    return Summary(
        drop_id=drop_id,
        size=record["size"],
        available=record["available"],
        held=record["held"],
        sold=record["sold"],
        open_buckets=tuple(number for number in range(bits.bit_length()) if bits >> number & 1),
        next_lapse_at=record.get("next_lapse_at"),
        sold_out_at=record.get("sold_out_at"),
        as_of=record["as_of"],
        largest=record.get("largest"),
        largest_in=record.get("largest_in"),
    )


def record_of_summary(summary: Summary, buckets: int) -> dict[str, Any]:
    """A summary as a record, with the number of buckets it was made of. Open buckets are a bitmap: 50 bytes at 400."""
    bits = sum(1 << number for number in summary.open_buckets)
    return {
        "size": summary.size,
        "available": summary.available,
        "held": summary.held,
        "sold": summary.sold,
        "open": bits.to_bytes(max(1, (bits.bit_length() + 7) // 8), "little"),
        "buckets": buckets,
        "next_lapse_at": summary.next_lapse_at,
        "sold_out_at": summary.sold_out_at,
        "as_of": summary.as_of,
        "largest": summary.largest,
        "largest_in": summary.largest_in,
    }


def a_lapse_is_due(summary: Summary, now: Instant) -> bool:
    """Whether a hold it counts as held is over by now: nothing tells the table, so the summary must be made anew."""
    return summary.next_lapse_at is not None and Entry(1, summary.next_lapse_at).lapsed(now // SECOND)


def refusal(
    summary: Summary, quantity: int, now: Instant, retry_after_ms: int
) -> SoldOut | AllHeld | Fewer | Busy | None:
    """Why nobody can take ``quantity`` units, as this summary has it; None: somebody may.

    Sold out is said only when every unit is sold. That nothing is *available* proves nothing: buckets are read one
    after another, and a unit may move from one not yet read to one that was.
    """
    if summary.sold_out:
        return SoldOut()
    if a_lapse_is_due(summary, now):
        return None
    if summary.available == 0 and summary.next_lapse_at is not None:
        return AllHeld(summary.next_lapse_at + CLOCK_MARGIN_SECONDS + 1)
    if summary.available == 0:
        return Busy(retry_after_ms)
    if summary.largest is not None and 0 < summary.largest < quantity:
        return Fewer(summary.largest)
    return None


class Summaries:
    """Reads and makes summaries. In a process, one thread at a time makes the summary of a drop; the others wait."""

    def __init__(self, store: StockStore) -> None:
        self._store = store
        self._made: dict[str, Summary] = {}
        self._locks: dict[str, threading.Lock] = {}

    def known(self, drop_id: str) -> Summary | None:
        """As last written: 0.5 RCU."""
        record = self._store.summary_record(drop_id, strong=False)
        return None if record is None else summary_of(drop_id, record)

    def fresh(self, layout: Layout, now: Instant) -> Summary:
        """One at most a second old: what this process made, else what is written, else made anew."""
        with self._locks.setdefault(layout.drop_id, threading.Lock()):
            for candidate in (self._made.get, self.known):
                summary = candidate(layout.drop_id)
                if summary is not None and abs(now - summary.as_of) <= FRESH_FOR and not a_lapse_is_due(summary, now):
                    return summary
            return self.refresh(layout, now)

    def begin(self, drop_id: str, sizes: Sequence[int], now: Instant) -> None:
        """Write the first summary of buckets that were just laid out, unread, unless there is one. 1 WCU."""
        buckets = [Bucket(number, size, size) for number, size in enumerate(sizes)]
        first = summarise(drop_id, buckets, None, now)
        if self._store.put_summary(drop_id, record_of_summary(first, len(buckets)), seen_as_of=None):
            self._made[drop_id] = first

    def refresh(self, layout: Layout, now: Instant) -> Summary:
        """Make it from strong reads, and write it over the one that was read *before* them, if it differs.

        No clock decides which of two summaries is newer. A write refused twice is left to whoever won: the second
        winner began to read after this call did, so it has seen whatever this call was made for.
        """
        summary = self._make(layout, now)
        self._made[layout.drop_id] = summary
        return summary

    def refresh_all(self, layouts: Sequence[Layout], now: Instant) -> None:
        """Refresh many at once: the same reads, a hundred a call. One that a rival wrote meanwhile is made alone."""
        records = self._store.summary_records([layout.drop_id for layout in layouts])
        numbers = {layout: _buckets_of(layout, records.get(layout.drop_id)) for layout in layouts}
        found = self._store.look_at((layout.drop_id, n) for layout, count in numbers.items() for n in range(count))
        for layout in layouts:
            places = ((layout.drop_id, number) for number in range(numbers[layout]))
            buckets = [found[place] for place in places if place in found]
            if self._written(layout, records.get(layout.drop_id), buckets, now) is None:
                self.refresh(layout, now)

    def _make(self, layout: Layout, now: Instant) -> Summary:
        for _ in range(2):
            record = self._store.summary_record(layout.drop_id, strong=True)
            count = _buckets_of(layout, record)
            found = self._store.look_at((layout.drop_id, number) for number in range(count))
            made = self._written(layout, record, found.values(), now)
            if made is not None:
                return made
        return summarise(layout.drop_id, found.values(), None, now)

    def _written(
        self, layout: Layout, record: Mapping[str, Any] | None, buckets: Iterable[Bucket], now: Instant
    ) -> Summary | None:
        """The summary of buckets read after ``record``, put over it if it differs. None: a rival put one since."""
        before = None if record is None else summary_of(layout.drop_id, record)
        summary = summarise(layout.drop_id, buckets, before, now)
        if before is not None and _same(summary, before):
            return summary
        written = record_of_summary(summary, _buckets_of(layout, record))
        if before is not None:
            written["as_of"] = max(now, before.as_of + 1)
        seen_as_of = None if before is None else before.as_of
        return summary if self._store.put_summary(layout.drop_id, written, seen_as_of=seen_as_of) else None


def _buckets_of(layout: Layout, record: Mapping[str, Any] | None) -> int:
    """How many buckets to read: a caller's layout may be older than the summary, or the other way round."""
    return max(layout.buckets, 0 if record is None else record["buckets"])


def _same(one: Summary, other: Summary) -> bool:
    """Whether two summaries say the same, whenever they were made."""
    return record_of_summary(one, 0) | {"as_of": 0} == record_of_summary(other, 0) | {"as_of": 0}
