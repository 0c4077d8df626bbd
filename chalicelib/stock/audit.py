"""Comparing every bucket of a drop with the rules of stock."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from chalicelib.instants import SECOND, Instant
from chalicelib.stock.bucket import Bucket, Entry
from chalicelib.stock.layout import home_of
from chalicelib.stock.model import ORDER_WIDTH, Audit, Layout
from chalicelib.stock.store import StockStore
from chalicelib.stock.summary import summarise


def audit(store: StockStore, layout: Layout, size: int, now: Instant) -> Audit:
    """What strong reads show. A mismatch counts if a second reading has it too: no reading is a snapshot."""
    first = _read(store, layout)
    mismatches = list(_mismatches(layout, first, size))
    if mismatches:
        again = set(_mismatches(layout, _read(store, layout), size))
        mismatches = [mismatch for mismatch in mismatches if mismatch in again]
    seconds = now // SECOND
    sums = summarise(layout.drop_id, first.values(), None, now)
    entries = [entry for bucket in first.values() for entry in bucket.holds.values()]
    sold: Counter[str] = Counter()
    for entry in entries:
        if entry.is_sold and entry.order is not None:
            sold[entry.order[:ORDER_WIDTH]] += entry.quantity
    return Audit(
        size=sums.size,
        available=sums.available,
        held=sums.held,
        sold=sums.sold,
        buckets=len(first),
        mismatches=tuple(mismatches),
        sold_by_order=dict(sold),
        lapsed_at_risk=sum(entry.quantity for entry in entries if entry.is_held and entry.lapsed(seconds)),
    )


def _read(store: StockStore, layout: Layout) -> Mapping[int, Bucket]:
    places = [(layout.drop_id, number) for number in range(layout.homes)]
    return {number: bucket for (_, number), bucket in store.look_at(places).items()}


def _mismatches(layout: Layout, buckets: Mapping[int, Bucket], size: int) -> Iterator[str]:
    missing = sorted(set(range(layout.homes)) - set(buckets))
    if missing:
        yield f"buckets {missing} do not exist"
    for number, bucket in sorted(buckets.items()):
        yield from _within(number, bucket)
    laid_out = sum(bucket.size for bucket in buckets.values())
    if laid_out != size:
        yield f"buckets hold {laid_out} units, the drop offers {size}"
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number, bucket in sorted(buckets.items()):
        for hold_id, entry in bucket.holds.items():
            if entry.has_units:
                places[hold_id].append(number)
    for hold_id, numbers in sorted(places.items()):
        if len(numbers) > 1:
            yield f"hold {hold_id} has units in buckets {numbers}"
        elif _named_by_home(layout, buckets, hold_id) != numbers[0]:
            yield f"hold {hold_id} stands in bucket {numbers[0]}, which its home does not name"


def _within(number: int, bucket: Bucket) -> Iterator[str]:
    units = sum(entry.quantity for entry in bucket.holds.values())
    if bucket.available < 0 or min((entry.quantity for entry in bucket.holds.values()), default=0) < 0:
        yield f"bucket {number} has a negative number of units"
    if bucket.available + units != bucket.size:
        yield f"bucket {number}: {bucket.available} available and {units} in holds are not {bucket.size}"


def _named_by_home(layout: Layout, buckets: Mapping[int, Bucket], hold_id: str) -> int:
    home = home_of(hold_id, layout)
    entry: Entry | None = buckets[home].holds.get(hold_id) if home in buckets else None
    return home if entry is None or entry.points_to is None else entry.points_to
