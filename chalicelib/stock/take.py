"""Taking: home first, and a forwarding pointer before any other bucket.

At every moment at most one bucket can accept a given hold, whatever is late, doubled or cut: it may be taken at home
while home has no entry of it; the pointer at home, being such an entry, forbids that; and a bucket is fenced before the
pointer leaves it. Simpler ways lose a unit or hold two; see the decision record of 2026-11-23.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, islice
from typing import Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock import expressions
from chalicelib.stock.bucket import (
    FENCE_SECONDS,
    ROOM_FOR_HOLDS,
    ROOM_FOR_POINTERS,
    Bucket,
    Dead,
    Entry,
    Fenced,
    Moved,
    Ours,
    Room,
    Short,
    meaning,
)
from chalicelib.stock.layout import home_of, number_of
from chalicelib.stock.live import Summaries
from chalicelib.stock.model import Busy, EpochSeconds, Fewer, HoldRef, Layout, Summary, TakeAnswer, Taken
from chalicelib.stock.pointers import clear_away
from chalicelib.stock.rake import Rake
from chalicelib.stock.store import StockStore
from chalicelib.stock.summary import refusal

PROBES: Final = 4
"""Eventually consistent reads of other buckets that one take may make: half a read unit each, a tenth of a write."""

_WRITES_AT_A_BUCKET: Final = 3


class Take:
    """One try to take one hold. ``probes`` counts its reads of other buckets."""

    def __init__(
        self,
        store: StockStore,
        summaries: Summaries,
        rake: Rake,
        layout: Layout,
        hold_id: str,
        quantity: int,
        expires_at: EpochSeconds,
        now: Instant,
    ) -> None:
        self._store = store
        self._summaries = summaries
        self._rake = rake
        self._layout = layout
        self._hold_id = hold_id
        self._quantity = quantity
        self._expires_at = expires_at
        self._now = now
        self._seconds: EpochSeconds = now // SECOND
        self._home = home_of(hold_id, layout)
        self._at = self._home
        self._pointer: Entry | None = None
        self._asked: set[int] = set()
        self._fewer = 0
        self.probes = 0

    def run(self, known: Summary | None) -> TakeAnswer:
        """Take the units. ``known`` None means that an earlier try may have taken them already."""
        if known is not None:
            outcome = refusal(known, self._quantity, self._now, self._pause_ms())
            if isinstance(outcome, Fewer):
                return self._gather(known) or outcome
            if outcome is not None:
                return outcome
        believed = known if known is not None else self._summaries.known(self._layout.drop_id)
        answer = self._begin(believed, first_try=known is not None)
        if answer is None and believed is not None:
            answer = self._stray(believed)
        if answer is not None:
            return answer
        fresh = self._summaries.fresh(self._layout, self._home, self._now)
        return self._home_anew(fresh) or self._stray(fresh) or self._gather(fresh) or self._refuse(fresh)

    def _begin(self, believed: Summary | None, *, first_try: bool) -> TakeAnswer | None:
        """Ask home: by the write itself where it seems to have units, by a strong read where a hold may stand there."""
        if believed is None or self._seems_open(believed, self._home):
            return self._take_at(self._home, None)
        if first_try:
            return None
        return self._take_at(self._home, self._store.read_bucket(self._layout.drop_id, self._home, strong=True))

    def _home_anew(self, fresh: Summary) -> TakeAnswer | None:
        if self._pointer is None and self._home not in self._asked and self._seems_open(fresh, self._home):
            return self._take_at(self._home, None)
        return None

    def _stray(self, summary: Summary) -> TakeAnswer | None:
        """Try other buckets that have units, one after another; None when none is left to try."""
        for number in self._candidates(summary):
            if self.probes >= PROBES:
                return None
            self.probes += 1
            self._asked.add(number)
            bucket = self._store.read_bucket(self._layout.drop_id, number, strong=False)
            match meaning(bucket, self._hold_id, self._quantity, self._seconds, left=self._pointer):
                case Short(obtainable):
                    self._fell_short(number, obtainable)
                case Ours():
                    return self._take_at(self._home, None)  # it is known there, or points here
                case Room():
                    answer = self._go(number, bucket)
                    if answer is not None:
                        return answer
        return None

    def _candidates(self, summary: Summary) -> list[int]:
        """Buckets to read, in an order of the hold's own; the fullest is asked at the latest with the last read."""
        numbers, closed = summary.open_buckets, {*self._asked, self._at}
        turn = bisect_left(numbers, self._start)
        others = (n for n in chain(islice(numbers, turn, None), islice(numbers, turn)) if n not in closed)
        candidates = list(islice((n for n in others if self._seems_open(summary, n)), PROBES))
        fullest = summary.largest_in
        if self._quantity > 1 and fullest is not None and fullest not in closed.union(candidates):
            candidates.insert(PROBES - 1, fullest)
        return candidates

    def _gather(self, summary: Summary) -> TakeAnswer | None:
        """Have crumbs raked together in one bucket, and take there."""
        number = self._rake.gather(self._layout, summary, self._quantity, self._start, self._now)
        if number is None:
            return None
        bucket = self._store.read_bucket(self._layout.drop_id, number, strong=True)
        return self._take_at(number, bucket) if number == self._at else self._go(number, bucket)

    @property
    def _start(self) -> int:
        return number_of(self._hold_id) // self._layout.homes % self._layout.homes

    def _go(self, number: int, bucket: Bucket) -> TakeAnswer | None:
        """Leave the bucket where the hold may be taken now for ``number``, then take there."""
        drop_id, hold_id = self._layout.drop_id, self._hold_id
        pointer = Entry(0, points_to=number, version=self._now)
        if self._pointer is None:
            existing = self._store.write(drop_id, self._home, expressions.point(hold_id, pointer, ROOM_FOR_POINTERS))
            if existing is not None and hold_id not in existing.holds:
                clear_away(self._store, self._layout, existing, self._now)
                existing = self._store.write(drop_id, self._home, expressions.point(hold_id, pointer, ROOM_FOR_HOLDS))
        else:
            answer = self._fence()
            if answer is not None:
                return answer
            if number == self._home:
                return self._take_at(number, bucket)
            existing = self._store.write(drop_id, self._home, expressions.exchange(hold_id, self._pointer, pointer))
        if existing is not None:
            return self._learn_from_home(existing)
        self._at, self._pointer = number, pointer
        return self._take_at(number, bucket)

    def _fence(self) -> TakeAnswer | None:
        """Close the bucket that is being left. An answer when it turns out to have the hold, or to have no room."""
        fence = expressions.fence(self._hold_id, self._seconds + FENCE_SECONDS)
        existing = self._store.write(self._layout.drop_id, self._at, fence)
        if existing is None:
            return None
        own = existing.holds.get(self._hold_id)
        return self._taken(self._at, own) if own is not None and own.has_units else self._busy()

    def _learn_from_home(self, home: Bucket) -> TakeAnswer | None:
        """Another thread of the same hold was here: go where it went. No entry: home has no room for a pointer."""
        own = home.holds.get(self._hold_id)
        if own is None or own.is_dead:
            return self._busy()
        return self._taken(self._home, own) if own.has_units else self._follow(own)

    def _follow(self, pointer: Entry) -> TakeAnswer | None:
        assert pointer.points_to is not None
        self._at, self._pointer = pointer.points_to, pointer
        self._asked.discard(self._home)  # it may have units again, and be gone back to
        bucket = self._store.read_bucket(self._layout.drop_id, self._at, strong=True)
        return self._take_at(self._at, bucket)

    def _take_at(self, number: int, bucket: Bucket | None) -> TakeAnswer | None:
        """Take at a bucket that may have this hold; ``bucket`` None: without having read it. None: it has too few."""
        self._asked.add(number)
        for _ in range(_WRITES_AT_A_BUCKET):
            found = self._meaning(bucket)
            match found:
                case Ours(entry):
                    return self._taken(number, entry)
                case Moved(pointer):
                    return self._follow(pointer)
                case Dead():
                    return self._busy()
                case Fenced():
                    return None
                case Short(obtainable):
                    self._fell_short(number, obtainable)
                    return None
                case Room():
                    write = expressions.put_hold(self._hold_id, Entry(self._quantity, self._expires_at), found)
            bucket = self._store.write(self._layout.drop_id, number, write)
            if bucket is None:
                hold = HoldRef(self._hold_id, number, self._quantity, self._expires_at)
                return Taken(hold)
        return None

    def _seems_open(self, summary: Summary, number: int) -> bool:
        return self._summaries.seems_open(summary, number, self._now)

    def _fell_short(self, number: int, obtainable: int) -> None:
        self._fewer = max(self._fewer, obtainable)
        if not obtainable:
            self._summaries.note_empty(self._layout.drop_id, number, self._now)

    def _meaning(self, bucket: Bucket | None) -> Ours | Moved | Fenced | Dead | Short | Room:
        if bucket is None:
            return Room()
        return meaning(bucket, self._hold_id, self._quantity, self._seconds, left=self._pointer)

    def _taken(self, number: int, entry: Entry) -> Taken:
        """The hold was there before: answered as taken, with what stands there."""
        expires_at = self._expires_at if entry.expires_at is None else entry.expires_at
        return Taken(HoldRef(self._hold_id, number, entry.quantity, expires_at), replay=True, sold=entry.is_sold)

    def _refuse(self, fresh: Summary) -> TakeAnswer:
        reason = refusal(fresh, self._quantity, self._now, self._pause_ms())
        if reason is not None:
            return reason
        unseen = set(fresh.open_buckets) - self._asked
        return Fewer(self._fewer) if self._fewer and not unseen else self._busy()

    def _busy(self) -> Busy:
        return Busy(self._pause_ms())

    def _pause_ms(self) -> int:
        """Between 250 and 1,250 ms, by hold, so that those refused together do not come back together."""
        return 250 + number_of(self._hold_id) // self._layout.homes % 1_000
