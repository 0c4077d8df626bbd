"""The live summary, stock plans and the audit: what buckets add up to."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.errors import Unavailable
from chalicelib.stock import BucketSums, Pool, SoldOut, Summary, summary_from_record
from chalicelib.stock.summary import summary_to_record
from tests.conftest import Tables
from tests.stock.builders import NOW, ORDER, SECONDS, UNTIL, Shelf


def test_laying_out_puts_buckets_and_a_first_summary_and_repeats_harmlessly(tables: Tables) -> None:
    shelf = Shelf(tables, [2, 3])
    shelf.hold(next(shelf.ids(0)))
    before = shelf.bucket(0)
    shelf.stock.create_buckets("d", [2, 3], NOW + 5)
    assert shelf.bucket(0) == before
    assert shelf.bucket(1) == {"a": 3, "s": 3, "h": {}}
    assert shelf.stock.summary("d") == Summary("d", 5, 5, 0, 0, (0, 1), None, None, NOW, 3, 1)
    assert shelf.stock.summary("unknown") is None


def test_laying_out_goes_on_where_it_died(tables: Tables) -> None:
    shelf = Shelf(tables, [2])
    shelf.stock.create_buckets("d", [2, 3], NOW)
    assert shelf.bucket(1) == {"a": 3, "s": 3, "h": {}}


def test_the_summary_counts_lapsed_holds_as_available(tables: Tables) -> None:
    shelf = Shelf(tables, [5, 1])
    ids = shelf.ids(0)
    shelf.hold(next(ids), 1, until=SECONDS - 3)
    shelf.hold(next(ids), 2, until=UNTIL)
    shelf.hold(next(ids), 1, until=UNTIL + 7)
    shelf.stock.commit(shelf.layout, shelf.hold(next(shelf.ids(1))), 1, ORDER)
    summary = shelf.stock.refresh(shelf.layout, NOW + 10)
    assert summary == Summary("d", 6, 2, 3, 1, (0,), UNTIL, None, NOW + 10, 2, 0)
    assert shelf.stock.summary("d") == summary


def test_the_sold_out_instant_is_kept_until_a_unit_comes_back(tables: Tables) -> None:
    shelf = Shelf(tables, [1])
    hold = shelf.hold(next(shelf.ids(0)))
    shelf.stock.commit(shelf.layout, hold, 1, ORDER)
    assert shelf.stock.refresh(shelf.layout, NOW + 10).sold_out_at == NOW + 10
    assert shelf.stock.refresh(shelf.layout, NOW + 20).sold_out_at == NOW + 10
    shelf.stock.restock(shelf.layout, hold, ORDER, 1, 0)
    again = shelf.stock.refresh(shelf.layout, NOW + 30)
    assert (again.sold_out_at, again.available) == (None, 1)


def test_an_unchanged_summary_is_put_again_so_that_an_older_reading_is_refused(tables: Tables) -> None:
    shelf = Shelf(tables, [1])
    shelf.stock.refresh(shelf.layout, NOW + 10)
    written = shelf.stock.summary("d")
    assert written is not None
    assert (written.available, written.held, written.as_of) == (1, 0, NOW + 10)


def test_a_process_with_a_slow_clock_still_writes_what_it_saw_later(tables: Tables) -> None:
    shelf = Shelf(tables, [2])
    shelf.hold(next(shelf.ids(0)))
    shelf.stock.refresh(shelf.layout, NOW - 5_000)
    written = shelf.stock.summary("d")
    assert written is not None
    assert (written.available, written.held, written.as_of) == (1, 1, NOW + 1)


def test_a_summary_survives_its_record() -> None:
    summary = Summary("d", 900, 3, 4, 893, (0, 7, 8, 399), UNTIL, None, NOW, 2, 399)
    record = summary_to_record(summary)
    assert len(record["open"]) == 50
    assert summary_from_record("d", record) == summary


def test_a_numbered_plan_adds_its_units_once(tables: Tables) -> None:
    shelf = Shelf(tables, [12, 12])
    for _ in range(2):
        shelf.stock.add_units(shelf.layout, 1, 36, NOW + 1)
        assert [shelf.bucket(n) for n in range(2)] == [
            {"a": 24, "s": 24, "h": {}, "p": 1},
            {"a": 36, "s": 36, "h": {}, "p": 1},
        ]
    summary = shelf.stock.summary("d")
    assert summary is not None
    assert (summary.size, summary.available, summary.open_buckets) == (60, 60, (0, 1))
    assert shelf.stock.audit(shelf.layout, 60, NOW).mismatches == ()


def test_a_plan_that_died_halfway_goes_on(tables: Tables) -> None:
    shelf = Shelf(tables, [12, 12])
    unfinished = Pool("d", 3)
    with pytest.raises(Unavailable):
        shelf.stock.add_units(unfinished, 1, 36, NOW)
    shelf.stock.create_buckets("d", [12, 12, 12], NOW)
    shelf.stock.add_units(unfinished, 1, 36, NOW)
    assert shelf.stock.audit(unfinished, 72, NOW).mismatches == ()


def test_a_plan_that_is_repeated_writes_only_what_is_left(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tables, [12] * 5)
    update = tables.dynamodb.update_item
    written: list[str] = []

    def twice_then_die(**call: Any) -> Any:
        if len(written) == 2:
            raise ReadTimeoutError(endpoint_url="here")
        written.append(call["Key"]["pk"]["S"])
        return update(**call)

    monkeypatch.setattr(tables.dynamodb, "update_item", twice_then_die)
    for tries in (2, 2, 1):
        with suppress(ReadTimeoutError):
            shelf.stock.add_units(shelf.layout, 1, 60, NOW)
        assert len(written) == tries
        written.clear()
    assert [shelf.bucket(number)["a"] for number in range(5)] == [24] * 5


def test_the_audit_adds_up_and_names_orders(tables: Tables) -> None:
    shelf = Shelf(tables, [4])
    ids = shelf.ids(0)
    shelf.stock.commit(shelf.layout, shelf.hold(next(ids), 2), 2, ORDER)
    shelf.hold(next(ids), 1, until=SECONDS - 3)
    audit = shelf.stock.audit(shelf.layout, 4, NOW)
    assert (audit.size, audit.available, audit.held, audit.sold) == (4, 2, 0, 2)
    assert audit.buckets == (BucketSums(0, size=4, available=2, held=0, sold=2, lapsed=1),)
    assert (audit.sold_by_order, audit.lapsed_at_risk, audit.mismatches) == ({"order-abc": 2}, 1, ())


def test_the_audit_sees_what_tampering_breaks(tables: Tables) -> None:
    shelf = Shelf(tables, [2, 2])
    name = next(shelf.ids(0))
    shelf.hold(name)
    tables.dynamodb.update_item(
        TableName=tables.stock,
        Key={"pk": {"S": "d#1"}},
        UpdateExpression="SET h.#h = :one",
        ExpressionAttributeNames={"#h": name},
        ExpressionAttributeValues={":one": {"M": {"q": {"N": "1"}, "u": {"N": str(UNTIL)}}}},
    )
    assert shelf.stock.audit(Pool("d", 3), 5, NOW).mismatches == (
        "buckets [2] do not exist",
        "bucket 1: 2 available and 1 in holds are not 2",
        "buckets hold 4 units, the drop offers 5",
        f"hold {name} has units in buckets [0, 1]",
    )


def test_more_buckets_than_one_batch_read_are_summarised_whole(tables: Tables) -> None:
    shelf = Shelf(tables, [1] * 205)
    summary = shelf.stock.refresh(shelf.layout, NOW)
    assert (summary.size, len(summary.open_buckets)) == (205, 205)


def test_a_drop_without_units_is_not_sold_out(tables: Tables) -> None:
    shelf = Shelf(tables, [0])
    assert not shelf.stock.refresh(shelf.layout, NOW).sold_out
    assert not isinstance(shelf.take(next(shelf.ids(0))), SoldOut)
