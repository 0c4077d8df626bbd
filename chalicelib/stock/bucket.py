"""A bucket as it was read, and its evaluation for a take. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chalicelib.instants import CLOCK_SKEW_SECONDS, UnixSeconds

FENCE_SECONDS: Final = 60
"""The life of a fence: longer than any function and its SDK calls."""

MAX_ENTRIES_FOR_POINTERS: Final = 60
"""Entries (2 KB) up to which a bucket accepts a pointer without a sweep of the pointers that no hold needs."""

MAX_ENTRIES: Final = 8_000
"""Entries that a bucket accepts at all. Committed entries of 33 bytes stay under DynamoDB's 400 KB."""

_MAX_RECLAIMS_PER_WRITE: Final = 75
"""Expired holds that one write may reclaim: 2 operators each, and an expression may have 300."""


@dataclass(frozen=True, slots=True)
class BucketEntry:
    """The entry of one hold id in a bucket.

    With units it is a hold (``expires_at``) or committed (no ``expires_at``). Without units it is a pointer
    (``points_to``, ``version``; only at home), a fence (``expires_at``) or a tombstone (neither). An entry without
    units is never committed, released or reclaimed.
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
        """Tell whether others may treat the entry as over. The clock skew is added: a fast clock steals nothing."""
        return self.expires_at is not None and self.expires_at + CLOCK_SKEW_SECONDS < now


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket at one instant. ``available`` and the units in ``holds`` always add up to ``size`` (Invariant 1a)."""

    number: int
    size: int
    available: int
    holds: Mapping[str, BucketEntry] = field(default_factory=dict)
    plan: int | None = None
    """The number of the last stock adjustment that reached the bucket."""
    withdrawn: int = 0
    """Units that this adjustment withdrew here."""
    net_moved_in: int = 0
    """Units that came from other buckets, less those that left for them. The sum over all buckets of a pool is 0."""

    def obtainable(self, now: UnixSeconds) -> int:
        """Count the units that a take could have: available units and those of expired holds."""
        return self.available + sum(e.quantity for e in self.holds.values() if e.is_held and e.is_expired(now))

    def obtainable_in_one_write(self, now: UnixSeconds) -> int:
        """Count the units that one write could have. It can reclaim 75 expired holds at most."""
        expired = sorted((e.quantity for e in self.holds.values() if e.is_held and e.is_expired(now)), reverse=True)
        return self.available + sum(expired[:_MAX_RECLAIMS_PER_WRITE])


# Evaluations of a bucket for a take of one hold.


@dataclass(frozen=True, slots=True)
class AlreadyHeld:
    """The bucket has the hold already."""

    entry: BucketEntry


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Home has a pointer to another bucket."""

    pointer: BucketEntry


@dataclass(frozen=True, slots=True)
class Fenced:
    """The hold left this bucket. The bucket may not accept it before the fence expires."""


@dataclass(frozen=True, slots=True)
class Tombstoned:
    """The hold is gone for ever."""


@dataclass(frozen=True, slots=True)
class Insufficient:
    """The bucket has too few units: one write could have ``obtainable``."""

    obtainable: int


@dataclass(frozen=True, slots=True)
class HasRoom:
    """The bucket has enough units, if the write reclaims these expired holds and replaces the hold's own entry."""

    reclaim: Mapping[str, BucketEntry] = field(default_factory=dict)
    replacing: BucketEntry | None = None


Evaluation = AlreadyHeld | Forwarded | Fenced | Tombstoned | Insufficient | HasRoom


def evaluate(
    bucket: Bucket, hold_id: str, quantity: int, now: UnixSeconds, *, fenced_pointer: BucketEntry | None = None
) -> Evaluation:
    """Evaluate a bucket for a take of ``quantity`` units.

    ``fenced_pointer`` is the pointer at home that the take follows. A write may replace it, as the take fences the
    bucket that it names before.
    """
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
    """Choose the expired holds that one write must reclaim to have ``units``; None when no choice suffices.

    The oldest come first. Where 75 of those do not suffice, the largest come first.
    """
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
