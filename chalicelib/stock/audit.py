"""Audit of every bucket of a pool against the rules of stock (Invariants 1a, 1b and 3b)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.stock.bucket import Bucket, BucketEntry
from chalicelib.stock.layout import home_of, plan_additions
from chalicelib.stock.model import HoldStatus, Pool, Summary
from chalicelib.stock.store import StockStore
from chalicelib.stock.summary import summarise, summary_from_record

_READINGS: Final = 3
"""Readings that must agree before a mismatch counts: one reading of several buckets is no snapshot."""


class _Mismatch(NamedTuple):
    """A broken rule, and the other units read with it, which must be the same in each reading."""

    description: str
    seen: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class StockPlan:
    """A numbered stock adjustment that is recorded but not marked done: some buckets may have applied it."""

    number: int
    quantity: int
    usual_quantity: int = 1


@dataclass(frozen=True, slots=True)
class BucketSums:
    """The units of one bucket. ``available`` includes those of expired holds (``lapsed``), as in the summary."""

    bucket: int
    size: int
    available: int
    held: int
    sold: int
    lapsed: int


@dataclass(frozen=True, slots=True)
class StockAudit:
    """The result of strong reads of every bucket. ``available`` includes expired holds, as in the summary.

    ``mismatches`` are sentences for an operator, none when every rule holds. ``sold_by_order`` counts units by short
    order reference. ``lapsed_at_risk`` counts units of expired holds that no buyer has reclaimed yet.
    ``hold_statuses`` are all holds with units, by bucket and id. ``stored_summary`` was read before the buckets.
    """

    size: int
    available: int
    held: int
    sold: int
    buckets: tuple[BucketSums, ...]
    mismatches: tuple[str, ...]
    sold_by_order: Mapping[str, int]
    lapsed_at_risk: int
    hold_statuses: tuple[tuple[str, HoldStatus], ...]
    stored_summary: Summary | None


def audit(store: StockStore, pool: Pool, size: int, now: Instant, plan: StockPlan | None = None) -> StockAudit:
    """Compare every bucket with the rules of stock, by strong reads.

    ``size`` is the number of units that the drop's record offers, without the pending ``plan``. A mismatch counts when
    three readings have it; without one, a single reading suffices.
    """
    record = store.summary_record(pool.pool_id, strong=True)
    buckets_read = _read_buckets(store, pool)
    suspected = list(_find_mismatches(pool, buckets_read, size, plan))
    for _ in range(_READINGS - 1):
        if suspected:
            again = set(_find_mismatches(pool, _read_buckets(store, pool), size, plan))
            suspected = [mismatch for mismatch in suspected if mismatch in again]
    seconds = now // SECOND
    sums = summarise(pool.pool_id, buckets_read.values(), None, now)
    buckets = tuple(_bucket_sums(bucket, seconds) for _, bucket in sorted(buckets_read.items()))
    statuses = tuple(
        (hold_id, HoldStatus(number, entry.quantity, entry.expires_at, entry.order))
        for number, bucket in sorted(buckets_read.items())
        for hold_id, entry in sorted(bucket.holds.items())
        if entry.has_units
    )
    sold: Counter[str] = Counter()
    for _, status in statuses:
        if status.expires_at is None and status.order_ref is not None:
            sold[status.order_ref] += status.quantity
    return StockAudit(
        size=sums.size,
        available=sums.available,
        held=sums.held,
        sold=sums.sold,
        buckets=buckets,
        mismatches=tuple(mismatch.description for mismatch in suspected),
        sold_by_order=dict(sold),
        lapsed_at_risk=sum(bucket.lapsed for bucket in buckets),
        hold_statuses=statuses,
        stored_summary=None if record is None else summary_from_record(pool.pool_id, record),
    )


def _read_buckets(store: StockStore, pool: Pool) -> Mapping[int, Bucket]:
    places = [(pool.pool_id, number) for number in range(pool.bucket_count)]
    return {number: bucket for (_, number), bucket in store.read_buckets(places).items()}


def _bucket_sums(bucket: Bucket, seconds: UnixSeconds) -> BucketSums:
    held = [entry for entry in bucket.holds.values() if entry.is_held]
    expired = sum(entry.quantity for entry in held if entry.is_expired(seconds))
    return BucketSums(
        bucket=bucket.number,
        size=bucket.size,
        available=bucket.available + expired,
        held=sum(entry.quantity for entry in held) - expired,
        sold=sum(entry.quantity for entry in bucket.holds.values() if entry.is_sold),
        lapsed=expired,
    )


def _find_mismatches(
    pool: Pool, buckets: Mapping[int, Bucket], size: int, plan: StockPlan | None
) -> Iterator[_Mismatch]:
    missing = sorted(set(range(pool.bucket_count)) - set(buckets))
    if missing:
        yield _Mismatch(f"Buckets {missing} do not exist.")
    for number, bucket in sorted(buckets.items()):
        yield from _check_bucket(number, bucket)
    # Without the units that moved between buckets the sum is exact, even while units move.
    moved = frozenset((number, bucket.net_moved_in) for number, bucket in buckets.items() if bucket.net_moved_in)
    moved_in = sum(units for _, units in moved)
    in_buckets = sum(bucket.size for bucket in buckets.values()) - moved_in
    offered = size + (_units_moved_by_plan(plan, pool, buckets) if plan is not None else 0)
    if in_buckets != offered:
        yield _Mismatch(f"The buckets have {in_buckets} units, the drop offers {offered}.")
    if moved_in:
        # Moves can tear each reading alike: a mismatch counts only when nothing moved between the readings.
        yield _Mismatch(f"{moved_in} more units moved into buckets than out of others.", moved)
    yield from _check_placement(pool, buckets)


def _check_placement(pool: Pool, buckets: Mapping[int, Bucket]) -> Iterator[_Mismatch]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number, bucket in sorted(buckets.items()):
        for hold_id, entry in bucket.holds.items():
            if entry.has_units:
                places[hold_id].append(number)
    for hold_id, numbers in sorted(places.items()):
        if len(numbers) > 1:
            yield _Mismatch(f"Hold {hold_id} has units in buckets {numbers}.")
        elif _bucket_named_by_home(pool, buckets, hold_id) != numbers[0]:
            yield _Mismatch(f"Hold {hold_id} is in bucket {numbers[0]}, which its home does not name.")


def _check_bucket(number: int, bucket: Bucket) -> Iterator[_Mismatch]:
    units = sum(entry.quantity for entry in bucket.holds.values())
    if bucket.available < 0 or min((entry.quantity for entry in bucket.holds.values()), default=0) < 0:
        yield _Mismatch(f"Bucket {number} has a negative number of units.")
    if bucket.available + units != bucket.size:
        yield _Mismatch(
            f"Bucket {number} has {bucket.available} available units and {units} in holds, its size is {bucket.size}."
        )


def _units_moved_by_plan(plan: StockPlan, pool: Pool, buckets: Mapping[int, Bucket]) -> int:
    """Count the units that a pending adjustment has added to these buckets, or withdrawn from them (negative)."""
    reached = [bucket for bucket in buckets.values() if bucket.plan == plan.number]
    if plan.quantity < 0:
        return -sum(bucket.withdrawn for bucket in reached)
    shares = plan_additions(pool, plan.number, plan.quantity, plan.usual_quantity)
    return sum(shares[bucket.number] for bucket in reached)


def _bucket_named_by_home(pool: Pool, buckets: Mapping[int, Bucket], hold_id: str) -> int:
    home = home_of(hold_id, pool)
    entry: BucketEntry | None = buckets[home].holds.get(hold_id) if home in buckets else None
    return home if entry is None or entry.points_to is None else entry.points_to
