"""A bucket as it was read, and what it means for a take: pure rules, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chalicelib.instants import CLOCK_SKEW_SECONDS, UnixSeconds

FENCE_SECONDS: Final = 60
"""How long a bucket that was left stays closed to the hold: longer than any function and its SDK calls live."""

MAX_ENTRIES_FOR_POINTERS: Final = 60
"""Entries up to which a bucket accepts a pointer without a sweep: those of holds that are over go first (2 KB)."""

MAX_ENTRIES: Final = 8_000
"""Entries that a bucket accepts at all: sold ones of 33 bytes stay under DynamoDB's 400 KB."""

_MAX_RECLAIMS_PER_WRITE: Final = 75
"""Lapsed holds that one write may take over: 2 operators each, of 300 that an expression may have."""


@dataclass(frozen=True, slots=True)
class BucketEntry:
    """What stands in a bucket under a hold id.

    A hold (``until``) or a sale (no ``until``) has units. Without units it is a pointer (``points_to``, ``version``;
    only at home), a fence (``until``) or a dead mark (neither), and is never sold, released or reclaimed.
    """

    quantity: int
    expires_at: UnixSeconds | None = None
    order: str | None = None
    points_to: int | None = None
    version: int | None = None

    @property
    def has_units(self) -> bool:
        return self.quantity > 0

    @property
    def is_held(self) -> bool:
        return self.has_units and self.expires_at is not None

    @property
    def is_sold(self) -> bool:
        return self.has_units and self.expires_at is None

    @property
    def is_tombstone(self) -> bool:
        return not self.has_units and self.expires_at is None and self.points_to is None

    def is_expired(self, now: UnixSeconds) -> bool:
        """Whether others may treat it as over, whatever their clocks say within the margin."""
        return self.expires_at is not None and self.expires_at + CLOCK_SKEW_SECONDS < now


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket at one instant. At every instant ``available`` + units in ``holds`` == ``size``."""

    number: int
    size: int
    available: int
    holds: Mapping[str, BucketEntry] = field(default_factory=dict)
    plan: int | None = None
    """The last stock plan that reached it."""
    withdrawn: int = 0
    """Units that this plan took away, if it is one that takes away."""
    net_moved_in: int = 0
    """Units that came from other buckets, less those that left for them: 0 over all buckets of a drop."""

    def obtainable(self, now: UnixSeconds) -> int:
        """Units that a take could have: available ones and those of lapsed holds."""
        return self.available + sum(e.quantity for e in self.holds.values() if e.is_held and e.is_expired(now))

    def obtainable_in_one_write(self, now: UnixSeconds) -> int:
        """Units that one write could have: it can take over so many lapsed holds and no more."""
        expired = sorted((e.quantity for e in self.holds.values() if e.is_held and e.is_expired(now)), reverse=True)
        return self.available + sum(expired[:_MAX_RECLAIMS_PER_WRITE])


# What a bucket means for a take of one hold.


@dataclass(frozen=True, slots=True)
class AlreadyHeld:
    """The hold is here already."""

    entry: BucketEntry


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Home names another bucket."""

    pointer: BucketEntry


@dataclass(frozen=True, slots=True)
class Fenced:
    """The hold is leaving this bucket and may not come back before the fence lapses."""


@dataclass(frozen=True, slots=True)
class Tombstoned:
    """The hold is over for good."""


@dataclass(frozen=True, slots=True)
class Insufficient:
    """Not enough units; ``obtainable`` are there."""

    obtainable: int


@dataclass(frozen=True, slots=True)
class HasRoom:
    """Enough units, if these lapsed holds are taken over and our own entry gives way, all in the same write."""

    reclaim: Mapping[str, BucketEntry] = field(default_factory=dict)
    replacing: BucketEntry | None = None


Evaluation = AlreadyHeld | Forwarded | Fenced | Tombstoned | Insufficient | HasRoom


def evaluate(
    bucket: Bucket, hold_id: str, quantity: int, now: UnixSeconds, *, fenced_pointer: BucketEntry | None = None
) -> Evaluation:
    """What ``bucket`` means for a take. ``left`` is the pointer at home whose bucket is fenced: it may give way."""
    own = bucket.holds.get(hold_id)
    if own is not None and own != fenced_pointer:
        if own.has_units:
            return AlreadyHeld(own)
        if own.points_to is not None:
            return Forwarded(own)
        if own.is_tombstone:
            return Tombstoned()
        if not own.is_expired(now):
            return Fenced()
    if own is None and len(bucket.holds) >= MAX_ENTRIES:
        return Insufficient(0)
    reclaim = choose_reclaims(bucket, quantity, now)
    if reclaim is None:
        return Insufficient(min(bucket.obtainable_in_one_write(now), quantity - 1))
    return HasRoom(reclaim, replacing=own)


def choose_reclaims(bucket: Bucket, units: int, now: UnixSeconds) -> dict[str, BucketEntry] | None:
    """The lapsed holds that one write has to take over to have ``units``: oldest first, or biggest first where it could
    not take so many. None: it cannot have them."""
    missing = units - bucket.available
    if missing <= 0:
        return {}
    expired = [(hold, entry) for hold, entry in bucket.holds.items() if entry.is_held and entry.is_expired(now)]
    for sort_key in (_oldest, _largest):
        chosen, freed = {}, 0
        for hold, entry in sorted(expired, key=sort_key)[:_MAX_RECLAIMS_PER_WRITE]:
            chosen[hold] = entry
            freed += entry.quantity
            if freed >= missing:
                return chosen
    return None


def _oldest(held: tuple[str, BucketEntry]) -> tuple[int, str]:
    return held[1].expires_at or 0, held[0]


def _largest(held: tuple[str, BucketEntry]) -> tuple[int, str]:
    return -held[1].quantity, held[0]
