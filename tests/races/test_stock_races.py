"""Many buyers at once on the embedded engine, whose conditional writes are atomic; with a control that oversells."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from chalicelib.aws import from_item
from chalicelib.stock import Layout, OrderRef, Sold, Stock, Taken, hold_id, plan_sizes
from tests.conftest import EngineAccount, Tables

pytestmark = pytest.mark.engine

NOW = 1_800_000_000_000
UNTIL = NOW // 1000 + 300
UNITS, BUYERS, THREADS = 60, 150, 16


def all_at_once(buy: Callable[[int], int]) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(buy, range(BUYERS)))


def test_buyers_at_once_buy_every_unit_and_none_twice(engine: EngineAccount) -> None:
    tables = engine.tables()
    sizes = plan_sizes(UNITS, 1)
    layout = Layout("d", len(sizes))
    stock = Stock(tables.dynamodb, tables.stock, tables.commerce)
    stock.lay_out("d", sizes, NOW)

    def buy(buyer: int) -> int:
        """Take 1 to 3 units, perhaps asking twice; buy, give back or walk away."""
        chance = Random(buyer)
        quantity, name = chance.choice([1, 1, 2, 3]), hold_id(f"p{buyer}", "d", 1, 1)
        for _ in range(chance.choice([1, 1, 2])):
            answer = stock.take(layout, name, quantity, UNTIL, None, now=NOW)
        if not isinstance(answer, Taken):
            return 0
        if chance.random() < 0.3:
            stock.release(layout, answer.hold)
            return 0
        assert stock.sell(layout, answer.hold, quantity, OrderRef(f"{buyer:09d}", 1)) == Sold(quantity)
        return quantity

    sold = all_at_once(buy)
    for late in range(4 * UNITS):
        answer = stock.take(layout, hold_id(f"late{late}", "d", 1, 1), 1, UNTIL, None, now=NOW + 2_000 * late)
        if isinstance(answer, Taken):
            assert stock.sell(layout, answer.hold, 1, OrderRef(f"l{late:08d}", 1)) == Sold(1)
            sold += 1
    audit = stock.audit(layout, UNITS, NOW)
    assert audit.mismatches == ()
    assert (sold, audit.sold, audit.available, audit.held) == (UNITS, UNITS, 0, 0)


def test_doubled_requests_at_once_hold_once(engine: EngineAccount) -> None:
    tables = engine.tables()
    layout = Layout("d", 3)
    stock = Stock(tables.dynamodb, tables.stock, tables.commerce)
    stock.lay_out("d", [20, 20, 20], NOW)

    def buy(request: int) -> int:
        answer = stock.take(layout, hold_id(f"p{request % 50}", "d", 1, 1), 1, UNTIL, None, now=NOW)
        return 1 if isinstance(answer, Taken) else 0

    assert all_at_once(buy) == BUYERS
    audit = stock.audit(layout, UNITS, NOW)
    assert audit.mismatches == ()
    assert (audit.held, audit.available) == (50, 10)


def test_the_control_that_reads_then_writes_oversells(engine: EngineAccount) -> None:
    tables = engine.tables()
    counter = _Counter(tables, UNITS)
    assert all_at_once(counter.buy) > UNITS


class _Counter:
    """The wrong way: read the units left, decide, write the new number."""

    def __init__(self, tables: Tables, units: int) -> None:
        self._tables = tables
        self._write(units)

    def _write(self, units: int) -> None:
        self._tables.dynamodb.put_item(
            TableName=self._tables.stock, Item={"pk": {"S": "control"}, "a": {"N": str(units)}}
        )

    def buy(self, buyer: int) -> int:
        item = self._tables.dynamodb.get_item(
            TableName=self._tables.stock, Key={"pk": {"S": "control"}}, ConsistentRead=True
        )["Item"]
        left = from_item(item)["a"]
        if left < 1:
            return 0
        self._write(left - 1)
        return 1
