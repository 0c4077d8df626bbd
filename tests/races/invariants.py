"""Check a drop after a race, from its stored buckets and without the product's rules (Invariants 1a to 1d)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from chalicelib.aws import from_item
from chalicelib.stock import Pool
from tests.independent_counts import StoredBucket, is_sold, units_add_up

ORDER_WIDTH: Final = 9

VIOLATIONS: Final = (
    "broken",  # buckets whose units did not add up at some instant
    "double_holds",  # hold ids with units in two buckets, or whose answers named two buckets
    "early_losses",  # holds that disappeared before their end, or sales that disappeared
    "false_sold_out",  # answers of "sold out" while a unit was unsold
    "lost_sales",  # units that an answer confirmed to a buyer, and that the order does not have
    "unexplained_sales",  # units sold to an order whose answers exclude it
    "oversold",  # units confirmed to buyers beyond the drop's size
    "undersold",  # units that late buyers could not get
    "refused_for_good",  # buyers with fewer units than wanted, although there were enough for all
    "forked",  # versions of a purchase that were answered with different contents
    "money",  # orders paid and not captured, captured twice, captured without an order, or left authorised
    "not_linearizable",  # histories that no sequential order explains
    "errors",  # requests that ended with an unexpected error
)


def violations_in(figures: Mapping[str, int]) -> dict[str, int]:
    """Return the violations that were counted."""
    return {name: figures[name] for name in VIOLATIONS if figures.get(name)}


def read_buckets(client: Any, stock_table: str, pool: Pool) -> list[StoredBucket]:
    """Read all buckets of a drop strongly. Two buckets may be of different instants."""
    keys = [{"pk": {"S": f"{pool.pool_id}#{number}"}} for number in range(pool.bucket_count)]
    answer = client.batch_get_item(RequestItems={stock_table: {"Keys": keys, "ConsistentRead": True}})
    return [from_item(item) for item in answer["Responses"][stock_table]]


def bucket_counts(buckets: Iterable[StoredBucket]) -> Counter[str]:
    """Count the buckets in which each hold id has units."""
    return Counter(name for bucket in buckets for name, entry in bucket["h"].items() if entry["q"] > 0)


def sold_by_order(buckets: Iterable[StoredBucket]) -> Counter[str]:
    """Count the units sold, by the order's short reference."""
    sold: Counter[str] = Counter()
    for bucket in buckets:
        for entry in bucket["h"].values():
            if is_sold(entry):
                sold[entry.get("o", "")[:ORDER_WIDTH]] += entry["q"]
    return sold


def check_final_stock(
    buckets: list[StoredBucket], size: int, may_have_by_order: Mapping[str, set[int]]
) -> Counter[str]:
    """Count the violations of a drop at the end of a race.

    ``may_have_by_order`` has the units that each order may have: several numbers where an outcome stayed unknown.
    """
    sold = sold_by_order(buckets)
    found: Counter[str] = Counter(broken=sum(not units_add_up(bucket) for bucket in buckets))
    found["broken"] += sum(bucket["s"] for bucket in buckets) != size
    found["double_holds"] += sum(places > 1 for places in bucket_counts(buckets).values())
    for order in sold.keys() | may_have_by_order.keys():
        may_have = may_have_by_order.get(order, {0})
        found["lost_sales"] += max(0, min(may_have) - sold[order])
        found["unexplained_sales"] += max(0, sold[order] - max(may_have))
    found["oversold"] += max(0, sum(min(may_have) for may_have in may_have_by_order.values()) - size)
    found["undersold"] += max(0, size - sold.total())
    found["sold"] += sold.total()
    return found
