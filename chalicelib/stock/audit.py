"""Comparing every bucket of a drop with the rules of stock, and freeing units that were found to be nobody's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from chalicelib.ids import ORDER_REF_LENGTH
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, BucketEntry
from chalicelib.stock.layout import home_of, plan_additions
from chalicelib.stock.model import HoldStatus, Pool, Summary
from chalicelib.stock.store import StockStore
from chalicelib.stock.summary import summarise, summary_from_record

_READINGS: Final = 3
"""How often a mismatch has to be read to count: no reading of several buckets is a snapshot."""


class _Mismatch(NamedTuple):
    """What is wrong, and what else of it was seen that has to be alike when it is read again."""

    description: str
    seen: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class StockPlan:
    """A numbered stock plan that has been recorded and not been marked done: some buckets may have had it."""

    number: int
    quantity: int
    usual_quantity: int = 1


@dataclass(frozen=True, slots=True)
class BucketSums:
    """One bucket's units. ``lapsed`` ones stand in holds that are over; they count as available, as in the summary."""

    bucket: int
    size: int
    available: int
    held: int
    sold: int
    lapsed: int


@dataclass(frozen=True, slots=True)
class StockAudit:
    """What strong reads of every bucket show. ``available`` counts lapsed holds, as in the summary.

    ``mismatches`` are sentences for an operator; empty when every rule of stock holds. ``sold_by_order`` is units by
    short order reference. ``lapsed_at_risk`` are units of lapsed holds that nobody has taken yet. ``standings`` are all
    holds with units, by bucket and id; ``live`` is the summary as it was written, read before them.
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
    """What strong reads show. ``size`` is what the drop offers by its record, without the ``plan`` that is under way.

    A mismatch counts if three readings have it; there is one reading where there is none.
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
        if status.expires_at is None and status.order is not None:
            sold[status.order[:ORDER_REF_LENGTH]] += status.quantity
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


def release_orphan(store: StockStore, pool: Pool, hold_id: str, seen: HoldStatus) -> bool:
    """Make a hold's units available, if it is, whole, what was ``seen``: renewed, sold or moved meanwhile, it stays.

    Units that an order had leave a dead mark: were the hold only removed, a late take could bring it back, and a late
    sell of that order could then sell it.
    """
    entry = BucketEntry(seen.quantity, seen.expires_at, seen.order)
    write = expressions.release_orphan(hold_id, entry, leave_tombstone=seen.order is not None)
    return store.write(pool.pool_id, seen.bucket, write) is None


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
        yield _Mismatch(f"buckets {missing} do not exist")
    for number, bucket in sorted(buckets.items()):
        yield from _check_bucket(number, bucket)
    # Without what moved between buckets the sum is exact, even while units move.
    moved = frozenset((number, bucket.net_moved_in) for number, bucket in buckets.items() if bucket.net_moved_in)
    moved_in = sum(units for _, units in moved)
    in_buckets = sum(bucket.size for bucket in buckets.values()) - moved_in
    offered = size + (_units_moved_by_plan(plan, pool, buckets) if plan is not None else 0)
    if in_buckets != offered:
        yield _Mismatch(f"buckets hold {in_buckets} units, the drop offers {offered}")
    if moved_in:
        # Units on the move can tear each reading alike: it counts where none moved between the readings.
        yield _Mismatch(f"{moved_in} more units came into buckets than left others", moved)
    yield from _check_placement(pool, buckets)


def _check_placement(pool: Pool, buckets: Mapping[int, Bucket]) -> Iterator[_Mismatch]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number, bucket in sorted(buckets.items()):
        for hold_id, entry in bucket.holds.items():
            if entry.has_units:
                places[hold_id].append(number)
    for hold_id, numbers in sorted(places.items()):
        if len(numbers) > 1:
            yield _Mismatch(f"hold {hold_id} has units in buckets {numbers}")
        elif _bucket_named_by_home(pool, buckets, hold_id) != numbers[0]:
            yield _Mismatch(f"hold {hold_id} stands in bucket {numbers[0]}, which its home does not name")


def _check_bucket(number: int, bucket: Bucket) -> Iterator[_Mismatch]:
    units = sum(entry.quantity for entry in bucket.holds.values())
    if bucket.available < 0 or min((entry.quantity for entry in bucket.holds.values()), default=0) < 0:
        yield _Mismatch(f"bucket {number} has a negative number of units")
    if bucket.available + units != bucket.size:
        yield _Mismatch(f"bucket {number}: {bucket.available} available and {units} in holds are not {bucket.size}")


def _units_moved_by_plan(plan: StockPlan, pool: Pool, buckets: Mapping[int, Bucket]) -> int:
    """Units that a plan under way has brought to these buckets, or taken out of them (negative)."""
    reached = [bucket for bucket in buckets.values() if bucket.plan == plan.number]
    if plan.quantity < 0:
        return -sum(bucket.withdrawn for bucket in reached)
    shares = plan_additions(pool, plan.number, plan.quantity, plan.usual_quantity)
    return sum(shares[bucket.number] for bucket in reached)


def _bucket_named_by_home(pool: Pool, buckets: Mapping[int, Bucket], hold_id: str) -> int:
    home = home_of(hold_id, pool)
    entry: BucketEntry | None = buckets[home].holds.get(hold_id) if home in buckets else None
    return home if entry is None or entry.points_to is None else entry.points_to
