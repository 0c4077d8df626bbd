"""Strategies to take one unit: the product's, a counter row, a large counter row, and a counter with a hold.

The large counter row is as large as a half full bucket. The emulator copies an item several times in each write, so
that large items are slower there; DynamoDB bills both alike. The product's own cost is its distance to that counter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from chalicelib.aws import is_condition_failure, to_item
from chalicelib.instants import SECOND, Instant, clock
from chalicelib.stock import Taken, TakeResult, hold_id
from infra.bench.environment import STOCK, BenchEnvironment

Attempt = Callable[[str, int], bool]
"""``(drop, buyer)``: returns whether this buyer's only try took a unit."""

HOLD_SECONDS: Final = 300
_HALF_A_BUCKET: Final = 12


def product_take(bench_env: BenchEnvironment) -> Attempt:
    """Take by ``Stock.take``, with the drop and its summary from the process's cache, at most 1 s old."""

    def attempt(drop: str, buyer: int) -> bool:
        return isinstance(take_once(bench_env, drop, buyer, clock()), Taken)

    return attempt


def take_once(bench_env: BenchEnvironment, drop: str, buyer: int, now: Instant) -> TakeResult:
    """Take stock as a request does on a buyer's first try, at an instant."""
    offer = bench_env.shows.offer(drop, now)
    if offer is None:
        raise LookupError(f"no drop {drop}")
    hold = hold_id(f"buyer-{buyer}", drop, 1, 1)
    expires_at = now // SECOND + HOLD_SECONDS
    return bench_env.stock.take(offer.drop.pool, hold, 1, expires_at, offer.summary, now=now)


def counter(bench_env: BenchEnvironment) -> Attempt:
    """Take by one conditional write on one row. No hold has the buyer, so a retry after a lost answer takes twice."""

    def attempt(drop: str, buyer: int) -> bool:
        try:
            bench_env.dynamodb.update_item(**_count_down(drop))
        except ClientError as error:
            if is_condition_failure(error):
                return False
            raise
        return True

    return attempt


def counter_and_hold(bench_env: BenchEnvironment) -> Attempt:
    """Take from the row and put a separate hold in one transaction, for four write units."""

    def attempt(drop: str, buyer: int) -> bool:
        hold = {"pk": f"{drop}#hold#{buyer}", "q": 1, "u": clock() // SECOND + HOLD_SECONDS}
        put: Any = {"TableName": STOCK, "Item": to_item(hold), "ConditionExpression": "attribute_not_exists(pk)"}
        try:
            bench_env.dynamodb.transact_write_items(TransactItems=[{"Update": _count_down(drop)}, {"Put": put}])
        except ClientError as error:
            if error.response["Error"]["Code"] == "TransactionCanceledException":
                return False
            raise
        return True

    return attempt


def _count_down(drop: str) -> Any:
    return {
        "TableName": STOCK,
        "Key": {"pk": {"S": f"{drop}#0"}},
        "UpdateExpression": "SET a = a - :q",
        "ConditionExpression": "a >= :q",
        "ExpressionAttributeValues": {":q": {"N": "1"}},
    }


STRATEGIES: Final[Mapping[str, Callable[[BenchEnvironment], Attempt]]] = {
    "take": product_take,
    "counter": counter,
    "large counter": counter,
    "counter + hold": counter_and_hold,
}


def prepare_stock(bench_env: BenchEnvironment, strategy: str, drop: str, units: int) -> None:
    """Put the stock of a strategy: a drop of the product, or a counter row."""
    if strategy == "take":
        bench_env.put_drop(drop, units, clock())
    else:
        row: dict[str, Any] = {"pk": f"{drop}#0", "a": units}
        if strategy == "large counter":
            row["h"] = {hold_id("-", drop, n, 1): {"q": 1, "u": clock() // SECOND} for n in range(_HALF_A_BUCKET)}
        bench_env.dynamodb.put_item(TableName=STOCK, Item=to_item(row))
