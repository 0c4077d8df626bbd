"""Fragments are consolidated where a buyer wants more units than any bucket has, and no sum ever becomes wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.stock import InsufficientUnits, OrderRef, Pool, SoldOut, Taken, expressions, hold_id
from chalicelib.stock.bucket import Bucket
from chalicelib.stock.store import StockStore
from tests.builders.stock import EXPIRES_AT, NOW, SECONDS, StockFixture
from tests.conftest import Tables


def fragmented_stock(tables: Tables, buckets: int = 6) -> StockFixture:
    """Build buckets of four units with three committed in each."""
    fixture = StockFixture(tables, [4] * buckets)
    for number in range(buckets):
        hold = fixture.hold(next(fixture.ids(number)), 3)
        fixture.stock.commit(fixture.pool, hold, 3, OrderRef(f"order-{number:03}", 1))
    return fixture


def test_a_buyer_of_two_gets_two_consolidated_single_units(tables: Tables) -> None:
    fixture = fragmented_stock(tables)
    summary = fixture.stock.refresh(fixture.pool, NOW)
    assert (summary.available, summary.largest_obtainable) == (6, 1)
    answer = fixture.take(hold_id("p", "d", 1, 2), 2, summary=summary)
    assert isinstance(answer, Taken)
    assert answer.hold.quantity == 2
    audit = fixture.stock.audit(fixture.pool, 24, NOW)
    assert (audit.available, audit.held, audit.sold, audit.mismatches) == (4, 2, 18, ())


def test_buyers_of_two_can_buy_all_fragments(tables: Tables) -> None:
    fixture = fragmented_stock(tables)
    for turn in range(3):
        now = NOW + 2_000 * turn
        assert isinstance(fixture.take(hold_id(f"p{turn}", "d", 1, 2), 2, now=now), Taken)
    assert fixture.stock.audit(fixture.pool, 24, NOW).available == 0


def test_a_process_consolidates_a_drop_once_a_second(tables: Tables) -> None:
    fixture = fragmented_stock(tables)
    summary = fixture.stock.refresh(fixture.pool, NOW)
    answers = [fixture.take(hold_id(f"p{turn}", "d", 1, 2), 2, summary=summary) for turn in range(3)]
    assert isinstance(answers[0], Taken)
    assert answers[1:] == [InsufficientUnits(1), InsufficientUnits(1)]
    assert isinstance(fixture.take(hold_id("p3", "d", 1, 2), 2, summary=summary, now=NOW + 1_000), Taken)


def test_nothing_is_consolidated_for_more_than_a_full_bucket(tables: Tables) -> None:
    fixture = StockFixture(tables, [4] * 3)
    before = [fixture.bucket(number) for number in range(3)]
    assert fixture.take(hold_id("p", "d", 1, 5), 5) == InsufficientUnits(4)
    assert [fixture.bucket(number) for number in range(3)] == before


def test_expired_holds_are_consolidated_with_the_rest(tables: Tables) -> None:
    fixture = StockFixture(tables, [3, 3])
    for number in range(2):
        fixture.hold(next(fixture.ids(number)), 2, expires_at=EXPIRES_AT)
        fixture.hold(
            next(name for name in fixture.ids(number) if name not in fixture.bucket(number)["h"]), 1, expires_at=SECONDS
        )
    later = NOW + 4_000
    answer = fixture.take(hold_id("p", "d", 1, 2), 2, now=later)
    assert isinstance(answer, Taken)
    audit = fixture.stock.audit(fixture.pool, 6, later)
    assert (audit.available, audit.held, audit.mismatches) == (0, 6, ())


@pytest.mark.parametrize("done", [True, False])
def test_a_consolidation_whose_answer_is_lost_loses_nothing(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    fixture = fragmented_stock(tables)
    transact = tables.dynamodb.transact_write_items

    def cut(**call: object) -> None:
        if done:
            transact(**call)  # type: ignore[arg-type]
        raise ReadTimeoutError(endpoint_url="here")

    with monkeypatch.context() as patched:
        patched.setattr(tables.dynamodb, "transact_write_items", cut)
        with pytest.raises(ReadTimeoutError):
            fixture.take(hold_id("p", "d", 1, 2), 2)
    assert fixture.stock.audit(fixture.pool, 24, NOW).mismatches == ()
    assert isinstance(fixture.take(hold_id("p", "d", 1, 2), 2, now=NOW + 2_000), Taken)


def test_a_read_torn_by_a_consolidation_does_not_say_sold_out(tables: Tables) -> None:
    """Read bucket 0 before a unit moves to it and bucket 1 after that unit left: their sizes are one unit short."""
    fixture = StockFixture(tables, [2, 2])
    for number, units in ((0, 2), (1, 1)):
        hold = fixture.hold(next(fixture.ids(number)), units)
        fixture.stock.commit(fixture.pool, hold, units, OrderRef(f"order-{number:03}", 1))
    store = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    batch_get = tables.dynamodb.batch_get_item

    def torn(**call: object) -> object:
        first = batch_get(**call)  # type: ignore[arg-type]
        moves = {0: expressions.move_in(1), 1: expressions.move_out(1, {})}
        assert store.write_together("d", moves)
        second = batch_get(**call)  # type: ignore[arg-type]
        items = {item["pk"]["S"]: item for item in first["Responses"][tables.stock]}
        items |= {item["pk"]["S"]: item for item in second["Responses"][tables.stock] if item["pk"]["S"] == "d#1"}
        assert sum(int(item["s"]["N"]) for item in items.values()) == 3
        return {"Responses": {tables.stock: list(items.values())}}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables.dynamodb, "batch_get_item", torn)
        summary = fixture.stock.refresh(fixture.pool, NOW)
    assert (summary.size, summary.sold, summary.sold_out) == (4, 3, False)
    assert not isinstance(fixture.take(hold_id("p", "d", 1, 1), summary=replace(summary, as_of=NOW)), SoldOut)
    assert fixture.stock.audit(Pool("d", 2), 4, NOW).mismatches == ()


@pytest.mark.parametrize("moving", [True, False], ids=["units on the move", "units lost on the way"])
def test_an_audit_whose_reads_are_all_torn_alike_reports_nothing(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, moving: bool
) -> None:
    """Each reading misses a unit that moves from bucket 1 after bucket 0 was read. A unit lost for good is reported."""
    fixture = StockFixture(tables, [9, 9])
    store = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    if not moving:
        assert store.write("d", 1, expressions.move_out(1, {})) is None
        assert fixture.stock.audit(fixture.pool, 18, NOW).mismatches == (
            "-1 more units moved into buckets than out of others.",
        )
        return
    read_buckets = StockStore.read_buckets

    def torn(self: StockStore, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Bucket]:
        first = read_buckets(self, [("d", 0)])
        assert store.write_together("d", {0: expressions.move_in(1), 1: expressions.move_out(1, {})})
        return first | read_buckets(self, [("d", 1)])

    monkeypatch.setattr(StockStore, "read_buckets", torn)
    found = [sum(bucket.net_moved_in for bucket in torn(store, []).values()) for _ in range(3)]
    assert found == [-1, -1, -1]
    assert fixture.stock.audit(fixture.pool, 18, NOW).mismatches == ()


def bucket_of_expired_singles(tables: Tables, units: int) -> StockFixture:
    """Build one bucket with all its units in expired holds of one unit."""
    fixture = StockFixture(tables, [units])
    ids = fixture.ids(0)
    for _ in range(units):
        fixture.hold(next(ids), expires_at=SECONDS - 60)
    return fixture


def test_insufficient_units_offers_what_one_write_can_reclaim(tables: Tables) -> None:
    fixture = bucket_of_expired_singles(tables, 80)
    summary = fixture.stock.refresh(fixture.pool, NOW)
    assert (summary.available, summary.largest_obtainable) == (80, 75)
    assert fixture.take(hold_id("bulk", "d", 1, 80), 80, summary=summary) == InsufficientUnits(75)
    assert fixture.take(hold_id("bulk", "d", 1, 80), 80) == InsufficientUnits(75)
    assert isinstance(fixture.take(hold_id("bulk", "d", 1, 75), 75, summary=summary), Taken)
    assert isinstance(fixture.take(hold_id("rest", "d", 1, 5), 5), Taken)
