"""What must be true of a drop when a race is over, told from its buckets, not by the product's own judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from chalicelib.aws import from_item
from chalicelib.stock import Pool
from tests.races.faulty_client import units_add_up

ORDER_WIDTH: Final = 9

VIOLATIONS: Final = (
    "broken",  # buckets, at any instant, whose units do not add up
    "double_holds",  # hold ids with units in two buckets, or answered from two
    "early_losses",  # holds that were gone before their end, or sales that were gone at all
    "false_sold_out",  # answers of "sold out" while not all was sold
    "lost_sales",  # units that a buyer was told are theirs, and are not
    "unexplained_sales",  # units that are sold to somebody who was told otherwise
    "oversold",  # units told to buyers beyond those there are
    "undersold",  # units that late buyers could not get
    "refused_for_good",  # buyers who got less than they wanted although there was enough for all
    "forked",  # versions of a purchase of which different contents were told
    "money",  # orders paid but not captured, captured twice or without an order, or left with money reserved
    "not_linearizable",  # histories that no order of their events explains
    "errors",  # requests that ended in any other way than they may
)

Bucket = Mapping[str, Any]


def violations_in(figures: Mapping[str, int]) -> dict[str, int]:
    """What was found wrong; empty when all is well."""
    return {name: figures[name] for name in VIOLATIONS if figures.get(name)}


def read_buckets(client: Any, stock_table: str, pool: Pool) -> list[Bucket]:
    """Every bucket of a drop that there is, by strong reads. No snapshot: two buckets may be of different instants."""
    keys = [{"pk": {"S": f"{pool.pool_id}#{number}"}} for number in range(pool.bucket_count)]
    answer = client.batch_get_item(RequestItems={stock_table: {"Keys": keys, "ConsistentRead": True}})
    return [from_item(item) for item in answer["Responses"][stock_table]]


def bucket_counts(buckets: Iterable[Bucket]) -> Counter[str]:
    """In how many buckets each hold id has units."""
    return Counter(name for bucket in buckets for name, entry in bucket["h"].items() if entry["q"] > 0)


def sold_by_order(buckets: Iterable[Bucket]) -> Counter[str]:
    """Units sold, by the order's short reference."""
    sold: Counter[str] = Counter()
    for bucket in buckets:
        for entry in bucket["h"].values():
            if entry["q"] > 0 and "u" not in entry:
                sold[entry.get("o", "")[:ORDER_WIDTH]] += entry["q"]
    return sold


def check_final_stock(buckets: list[Bucket], size: int, may_have_by_order: Mapping[str, set[int]]) -> Counter[str]:
    """What is wrong, given what each order may have been told: several quantities where an outcome stayed unknown."""
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
