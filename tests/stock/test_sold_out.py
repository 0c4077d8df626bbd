"""A drop is sold out only if every unit was committed at one instant, whatever moves while buckets are read."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.stock import HoldRef, OrderRef, Stock
from chalicelib.stock.summaries import Summaries
from tests.builders.stock import NOW, StockFixture
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient

FIRST, LAST = OrderRef("order-001", 1), OrderRef("order-002", 1)


def two_units(tables: Tables, buckets: int) -> tuple[StockFixture, HoldRef, HoldRef]:
    """Commit a hold in an early bucket, and hold one in the last bucket."""
    fixture = StockFixture(tables, [int(number in {5, buckets - 1}) for number in range(buckets)])
    early, last = (fixture.hold(next(fixture.ids(number))) for number in (5, buckets - 1))
    fixture.stock.commit(fixture.pool, early, 1, FIRST)
    fixture.stock.refresh(fixture.pool, NOW + 1)
    return fixture, early, last


def restock_one_then_commit_one(fixture: StockFixture, early: HoldRef, last: HoldRef) -> None:
    """Leave one unit free at every instant from here on."""
    assert fixture.stock.restock(fixture.pool, early, FIRST, 1, 0)
    fixture.stock.commit(fixture.pool, last, 1, LAST)


def stock_with_moves_after(batch: int, fixture: StockFixture, early: HoldRef, last: HoldRef) -> Stock:
    """Build another process, in which units move right after its batch read of this number."""
    batches = 0

    def move(_: int, operation: str) -> None:
        nonlocal batches
        batches += operation == "batch_get_item"
        if batches == batch and operation == "batch_get_item":
            restock_one_then_commit_one(fixture, early, last)

    client: Any = HookedClient(fixture.tables.dynamodb, after=move)
    return Stock(client, fixture.tables.stock, fixture.tables.commerce)


@pytest.mark.parametrize("by_the_stream", [False, True])
def test_a_torn_read_does_not_report_sold_out(tables: Tables, by_the_stream: bool) -> None:
    fixture, *holds = two_units(tables, 101)
    if by_the_stream:  # the first batch is that of summaries
        stock_with_moves_after(2, fixture, *holds).refresh_all({fixture.pool: {100: NOW}}, NOW + 2)
    else:
        stock_with_moves_after(1, fixture, *holds).refresh(fixture.pool, NOW + 2)
    summary = fixture.stock.summary("d")
    assert summary is not None
    assert not summary.sold_out
    assert fixture.bucket(5)["a"] == 1
    assert fixture.stock.refresh(fixture.pool, NOW + 3).available == 1


def test_control_one_read_would_report_sold_out(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the second reading, the test before would fail."""
    monkeypatch.setattr(Summaries, "_is_sold_out", lambda *_: True)
    fixture, *holds = two_units(tables, 101)
    assert stock_with_moves_after(1, fixture, *holds).refresh(fixture.pool, NOW + 2).sold_out


def test_a_segment_read_before_a_restock_does_not_make_a_drop_sold_out(tables: Tables) -> None:
    fixture, *holds = two_units(tables, 401)
    restock_one_then_commit_one(fixture, *holds)
    summary = fixture.stock.refresh(fixture.pool, NOW + 2, {400: NOW + 2})
    assert (summary.size, summary.sold, summary.sold_out) == (2, 2, False)
    summary = fixture.stock.refresh(fixture.pool, NOW + 3, {5: NOW + 2})
    assert (summary.available, summary.sold, summary.sold_out) == (1, 1, False)
