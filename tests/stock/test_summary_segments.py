"""Live summaries of drops with more than 400 buckets, which have segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from chalicelib.stock import OrderRef
from tests.builders.stock import EXPIRES_AT, NOW, SECONDS, StockFixture
from tests.conftest import Tables

BUCKETS = 405


@contextmanager
def buckets_read(fixture: StockFixture) -> Iterator[list[int]]:
    """Record the numbers of the buckets that a block reads in batches."""
    numbers: list[int] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        keys: Sequence[Any] = params["RequestItems"].get(fixture.tables.stock, {}).get("Keys", [])
        numbers.extend(int(key["pk"]["S"].rpartition("#")[2]) for key in keys)

    events = fixture.tables.dynamodb.meta.events
    events.register("before-parameter-build.dynamodb.BatchGetItem", note)
    yield numbers
    events.unregister("before-parameter-build.dynamodb.BatchGetItem", note)


def test_a_drop_of_many_buckets_has_a_summary_before_any_bucket_is_read(tables: Tables) -> None:
    fixture = StockFixture(tables, [2] * BUCKETS)
    first = fixture.stock.summary("d")
    assert first is not None
    assert (first.size, first.available, first.open_buckets) == (810, 810, tuple(range(BUCKETS)))
    with buckets_read(fixture) as numbers:
        assert fixture.stock.refresh(fixture.pool, NOW + 1) == replace(first, as_of=NOW + 1)
    assert numbers == list(range(BUCKETS))


def test_only_segments_with_a_change_are_read(tables: Tables) -> None:
    fixture = StockFixture(tables, [2] * BUCKETS)
    sold = fixture.hold(next(fixture.ids(250)), 2)
    fixture.stock.commit(fixture.pool, sold, 2, OrderRef("order-abc", 1))
    fixture.hold(next(fixture.ids(404)))
    with buckets_read(fixture) as numbers:
        fixture.stock.refresh_all({fixture.pool: {250: NOW, 404: NOW}}, NOW + 1)
    assert numbers == [*range(200, 300), *range(400, 405)]
    summary = fixture.stock.summary("d")
    assert summary is not None
    assert (summary.size, summary.available, summary.held, summary.sold) == (810, 807, 1, 2)
    assert set(range(BUCKETS)) - set(summary.open_buckets) == {250}
    assert (summary.next_lapse_at, summary.largest_obtainable) == (EXPIRES_AT, 2)


def test_a_change_older_than_the_segment_is_not_read_again(tables: Tables) -> None:
    fixture = StockFixture(tables, [2] * BUCKETS)
    fixture.hold(next(fixture.ids(7)))
    fixture.stock.refresh_all({fixture.pool: {7: NOW}}, NOW + 3_000)
    with buckets_read(fixture) as numbers:
        fixture.stock.refresh_all({fixture.pool: {7: NOW}}, NOW + 3_001)
        assert numbers == []
        fixture.stock.refresh_all({fixture.pool: {7: NOW + 1}}, NOW + 3_001)
    assert numbers == list(range(100))


def test_an_expired_hold_is_found_in_an_unchanged_segment(tables: Tables) -> None:
    fixture = StockFixture(tables, [2] * BUCKETS)
    fixture.hold(next(fixture.ids(120)), 2, expires_at=SECONDS + 5)
    held = fixture.stock.refresh(fixture.pool, NOW)
    assert (held.held, held.available, held.next_lapse_at) == (2, 808, SECONDS + 5)
    with buckets_read(fixture) as numbers:
        after = fixture.stock.refresh(fixture.pool, NOW + 8_000, {})
    assert (after.held, after.available, after.next_lapse_at) == (0, 810, None)
    assert numbers == list(range(100, 200))


def test_a_drop_of_many_buckets_is_sold_out_when_every_unit_is_sold(tables: Tables) -> None:
    fixture = StockFixture(tables, [0] * 401 + [1, 1])
    for number in (401, 402):
        assert not fixture.stock.refresh(fixture.pool, NOW, {number: NOW}).sold_out
        hold = fixture.hold(next(fixture.ids(number)))
        fixture.stock.commit(fixture.pool, hold, 1, OrderRef(f"order-{number}", 1))
    summary = fixture.stock.refresh(fixture.pool, NOW + 1, {402: NOW + 1})
    assert (summary.sold, summary.sold_out, summary.sold_out_at) == (2, True, NOW + 1)
