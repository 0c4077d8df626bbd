"""The live summary: the sums of the buckets, and the writes that keep it."""

from __future__ import annotations

from chalicelib.stock import SoldOut, Summary, summary_from_record
from chalicelib.stock.summary import summary_to_record
from tests.builders.stock import EXPIRES_AT, NOW, ORDER, SECONDS, StockFixture
from tests.conftest import Tables


def test_creating_buckets_writes_a_first_summary_and_repeats_harmlessly(tables: Tables) -> None:
    fixture = StockFixture(tables, [2, 3])
    fixture.hold(next(fixture.ids(0)))
    before = fixture.bucket(0)
    fixture.stock.create_buckets("d", [2, 3], NOW + 5)
    assert fixture.bucket(0) == before
    assert fixture.bucket(1) == {"a": 3, "s": 3, "h": {}}
    assert fixture.stock.summary("d") == Summary("d", 5, 5, 0, 0, (0, 1), None, None, NOW, 3, 1)
    assert fixture.stock.summary("unknown") is None


def test_creating_buckets_resumes_after_a_crash(tables: Tables) -> None:
    fixture = StockFixture(tables, [2])
    fixture.stock.create_buckets("d", [2, 3], NOW)
    assert fixture.bucket(1) == {"a": 3, "s": 3, "h": {}}


def test_the_summary_counts_expired_holds_as_available(tables: Tables) -> None:
    fixture = StockFixture(tables, [5, 1])
    ids = fixture.ids(0)
    fixture.hold(next(ids), 1, expires_at=SECONDS - 3)
    fixture.hold(next(ids), 2, expires_at=EXPIRES_AT)
    fixture.hold(next(ids), 1, expires_at=EXPIRES_AT + 7)
    fixture.stock.commit(fixture.pool, fixture.hold(next(fixture.ids(1))), 1, ORDER)
    summary = fixture.stock.refresh(fixture.pool, NOW + 10)
    assert summary == Summary("d", 6, 2, 3, 1, (0,), EXPIRES_AT, None, NOW + 10, 2, 0)
    assert fixture.stock.summary("d") == summary


def test_the_sold_out_instant_stays_until_a_unit_returns(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    hold = fixture.hold(next(fixture.ids(0)))
    fixture.stock.commit(fixture.pool, hold, 1, ORDER)
    assert fixture.stock.refresh(fixture.pool, NOW + 10).sold_out_at == NOW + 10
    assert fixture.stock.refresh(fixture.pool, NOW + 20).sold_out_at == NOW + 10
    fixture.stock.restock(fixture.pool, hold, ORDER, 1, 0)
    again = fixture.stock.refresh(fixture.pool, NOW + 30)
    assert (again.sold_out_at, again.available) == (None, 1)


def test_an_unchanged_summary_is_put_again_so_that_an_older_reading_is_refused(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    fixture.stock.refresh(fixture.pool, NOW + 10)
    written = fixture.stock.summary("d")
    assert written is not None
    assert (written.available, written.held, written.as_of) == (1, 0, NOW + 10)


def test_a_process_with_a_slow_clock_still_writes_its_later_reading(tables: Tables) -> None:
    fixture = StockFixture(tables, [2])
    fixture.hold(next(fixture.ids(0)))
    fixture.stock.refresh(fixture.pool, NOW - 5_000)
    written = fixture.stock.summary("d")
    assert written is not None
    assert (written.available, written.held, written.as_of) == (1, 1, NOW + 1)


def test_a_summary_equals_itself_after_a_round_trip() -> None:
    summary = Summary("d", 900, 3, 4, 893, (0, 7, 8, 399), EXPIRES_AT, None, NOW, 2, 399)
    record = summary_to_record(summary)
    assert len(record["open"]) == 50
    assert summary_from_record("d", record) == summary


def test_more_buckets_than_one_batch_read_are_summarised_whole(tables: Tables) -> None:
    fixture = StockFixture(tables, [1] * 205)
    summary = fixture.stock.refresh(fixture.pool, NOW)
    assert (summary.size, len(summary.open_buckets)) == (205, 205)


def test_a_drop_without_units_is_not_sold_out(tables: Tables) -> None:
    fixture = StockFixture(tables, [0])
    assert not fixture.stock.refresh(fixture.pool, NOW).sold_out
    assert not isinstance(fixture.take(next(fixture.ids(0))), SoldOut)
