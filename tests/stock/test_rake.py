"""Crumbs are raked together where a buyer wants more than any bucket has left, and never so that a sum is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.stock import InsufficientUnits, OrderRef, Pool, SoldOut, Taken, expressions, hold_id
from chalicelib.stock.bucket import Bucket
from chalicelib.stock.store import StockStore
from tests.conftest import Tables
from tests.stock.builders import NOW, SECONDS, UNTIL, Shelf


def crumbs(tables: Tables, buckets: int = 6) -> Shelf:
    """Buckets of four, of each of which three are sold."""
    shelf = Shelf(tables, [4] * buckets)
    for number in range(buckets):
        hold = shelf.hold(next(shelf.ids(number)), 3)
        shelf.stock.commit(shelf.layout, hold, 3, OrderRef(f"order-{number:03}", 1))
    return shelf


def test_whoever_wants_two_gets_two_single_units_raked_together(tables: Tables) -> None:
    shelf = crumbs(tables)
    known = shelf.stock.refresh(shelf.layout, NOW)
    assert (known.available, known.largest_obtainable) == (6, 1)
    answer = shelf.take(hold_id("p", "d", 1, 2), 2, known=known)
    assert isinstance(answer, Taken)
    assert answer.hold.quantity == 2
    audit = shelf.stock.audit(shelf.layout, 24, NOW)
    assert (audit.available, audit.held, audit.sold, audit.mismatches) == (4, 2, 18, ())


def test_equal_buyers_of_two_empty_what_crumbs_there_are(tables: Tables) -> None:
    shelf = crumbs(tables)
    for turn in range(3):
        now = NOW + 2_000 * turn
        assert isinstance(shelf.take(hold_id(f"p{turn}", "d", 1, 2), 2, now=now), Taken)
    assert shelf.stock.audit(shelf.layout, 24, NOW).available == 0


def test_a_process_rakes_a_drop_once_a_second_and_offers_fewer_meanwhile(tables: Tables) -> None:
    shelf = crumbs(tables)
    known = shelf.stock.refresh(shelf.layout, NOW)
    answers = [shelf.take(hold_id(f"p{turn}", "d", 1, 2), 2, known=known) for turn in range(3)]
    assert isinstance(answers[0], Taken)
    assert answers[1:] == [InsufficientUnits(1), InsufficientUnits(1)]
    assert isinstance(shelf.take(hold_id("p3", "d", 1, 2), 2, known=known, now=NOW + 1_000), Taken)


def test_what_no_full_bucket_could_have_is_not_raked_for(tables: Tables) -> None:
    shelf = Shelf(tables, [4] * 3)
    before = [shelf.bucket(number) for number in range(3)]
    assert shelf.take(hold_id("p", "d", 1, 5), 5) == InsufficientUnits(4)
    assert [shelf.bucket(number) for number in range(3)] == before


def test_lapsed_holds_are_raked_with_the_rest(tables: Tables) -> None:
    shelf = Shelf(tables, [3, 3])
    for number in range(2):
        shelf.hold(next(shelf.ids(number)), 2, until=UNTIL)
        shelf.hold(next(name for name in shelf.ids(number) if name not in shelf.bucket(number)["h"]), 1, until=SECONDS)
    later = NOW + 4_000
    answer = shelf.take(hold_id("p", "d", 1, 2), 2, now=later)
    assert isinstance(answer, Taken)
    audit = shelf.stock.audit(shelf.layout, 6, later)
    assert (audit.available, audit.held, audit.mismatches) == (0, 6, ())


@pytest.mark.parametrize("done", [True, False])
def test_a_raking_whose_answer_is_lost_loses_nothing(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    shelf = crumbs(tables)
    transact = tables.dynamodb.transact_write_items

    def cut(**call: object) -> None:
        if done:
            transact(**call)  # type: ignore[arg-type]
        raise ReadTimeoutError(endpoint_url="here")

    with monkeypatch.context() as patched:
        patched.setattr(tables.dynamodb, "transact_write_items", cut)
        with pytest.raises(ReadTimeoutError):
            shelf.take(hold_id("p", "d", 1, 2), 2)
    assert shelf.stock.audit(shelf.layout, 24, NOW).mismatches == ()
    assert isinstance(shelf.take(hold_id("p", "d", 1, 2), 2, now=NOW + 2_000), Taken)


def test_a_reading_torn_by_a_raking_does_not_say_sold_out(tables: Tables) -> None:
    """Bucket 0 is read before a unit comes to it, bucket 1 after that unit left: their sizes are one short together."""
    shelf = Shelf(tables, [2, 2])
    for number, units in ((0, 2), (1, 1)):
        hold = shelf.hold(next(shelf.ids(number)), units)
        shelf.stock.commit(shelf.layout, hold, units, OrderRef(f"order-{number:03}", 1))
    rakes = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    look = tables.dynamodb.batch_get_item

    def torn(**call: object) -> object:
        first = look(**call)  # type: ignore[arg-type]
        moves = {0: expressions.move_in(1), 1: expressions.move_out(1, {})}
        assert rakes.write_together("d", moves)
        second = look(**call)  # type: ignore[arg-type]
        items = {item["pk"]["S"]: item for item in first["Responses"][tables.stock]}
        items |= {item["pk"]["S"]: item for item in second["Responses"][tables.stock] if item["pk"]["S"] == "d#1"}
        assert sum(int(item["s"]["N"]) for item in items.values()) == 3
        return {"Responses": {tables.stock: list(items.values())}}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tables.dynamodb, "batch_get_item", torn)
        summary = shelf.stock.refresh(shelf.layout, NOW)
    assert (summary.size, summary.sold, summary.sold_out) == (4, 3, False)
    assert not isinstance(shelf.take(hold_id("p", "d", 1, 1), known=replace(summary, as_of=NOW)), SoldOut)
    assert shelf.stock.audit(Pool("d", 2), 4, NOW).mismatches == ()


@pytest.mark.parametrize("moving", [True, False], ids=["units on the move", "units lost on the way"])
def test_an_audit_whose_readings_are_all_torn_alike_tells_nothing(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, moving: bool
) -> None:
    """Each reading misses the unit that leaves bucket 1 while bucket 0 has been read; lost for good, it is told."""
    shelf = Shelf(tables, [9, 9])
    rakes = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    if not moving:
        assert rakes.write("d", 1, expressions.move_out(1, {})) is None
        assert shelf.stock.audit(shelf.layout, 18, NOW).mismatches == (
            "-1 more units came into buckets than left others",
        )
        return
    look = StockStore.read_buckets

    def torn(self: StockStore, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Bucket]:
        first = look(self, [("d", 0)])
        assert rakes.write_together("d", {0: expressions.move_in(1), 1: expressions.move_out(1, {})})
        return first | look(self, [("d", 1)])

    monkeypatch.setattr(StockStore, "read_buckets", torn)
    found = [sum(bucket.net_moved_in for bucket in torn(rakes, []).values()) for _ in range(3)]
    assert found == [-1, -1, -1]
    assert shelf.stock.audit(shelf.layout, 18, NOW).mismatches == ()


def shelf_of_lapsed_singles(tables: Tables, units: int) -> Shelf:
    """One bucket whose units are all in lapsed holds of one."""
    shelf = Shelf(tables, [units])
    ids = shelf.ids(0)
    for _ in range(units):
        shelf.hold(next(ids), until=SECONDS - 60)
    return shelf


def test_more_lapsed_holds_than_one_write_takes_over_are_offered_as_what_it_can_take(tables: Tables) -> None:
    shelf = shelf_of_lapsed_singles(tables, 80)
    known = shelf.stock.refresh(shelf.layout, NOW)
    assert (known.available, known.largest_obtainable) == (80, 75)
    assert shelf.take(hold_id("bulk", "d", 1, 80), 80, known=known) == InsufficientUnits(75)
    assert shelf.take(hold_id("bulk", "d", 1, 80), 80) == InsufficientUnits(75)
    assert isinstance(shelf.take(hold_id("bulk", "d", 1, 75), 75, known=known), Taken)
    assert isinstance(shelf.take(hold_id("rest", "d", 1, 5), 5), Taken)


def test_any_number_of_lapsed_holds_may_be_taken_away(tables: Tables) -> None:
    shelf = shelf_of_lapsed_singles(tables, 160)
    assert shelf.stock.withdraw_units(shelf.layout, 1, 158, NOW) == 158
    assert shelf.stock.withdraw_units(shelf.layout, 1, 158, NOW) == 158
    assert (shelf.bucket(0)["s"], shelf.bucket(0)["a"]) == (2, 2 - len(shelf.bucket(0)["h"]))
    assert shelf.stock.audit(shelf.layout, 2, NOW).mismatches == ()
