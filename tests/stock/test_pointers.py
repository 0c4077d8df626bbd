"""Pointers of holds that are over go where a home is full of them, so that no home is cut off from the drop."""

from __future__ import annotations

from chalicelib.stock import Taken, expressions
from chalicelib.stock.bucket import MAX_ENTRIES_FOR_POINTERS
from chalicelib.stock.pointers import sweep_pointers
from chalicelib.stock.store import StockStore
from tests.conftest import Tables
from tests.stock.builders import NOW, SECONDS, UNTIL, Shelf


def strays(shelf: Shelf, count: int, *, now: int, given_back: bool) -> list[str]:
    """Holds of home 0 that are taken in bucket 1, one after another."""
    taken = []
    names = (name for name in shelf.ids(0) if name not in shelf.bucket(0)["h"])
    for name, _ in zip(names, range(count), strict=False):
        answer = shelf.take(name, until=UNTIL + 3_600, known=shelf.believes(1), now=now)
        assert isinstance(answer, Taken)
        assert answer.hold.bucket == 1
        taken.append(name)
        if given_back:
            shelf.stock.release(shelf.layout, answer.hold)
    return taken


def test_a_home_full_of_pointers_of_holds_that_are_over_has_room_again(tables: Tables) -> None:
    shelf = Shelf(tables, [0, 1])
    strays(shelf, MAX_ENTRIES_FOR_POINTERS, now=NOW, given_back=True)
    assert len(shelf.bucket(0)["h"]) == MAX_ENTRIES_FOR_POINTERS
    strays(shelf, 1, now=NOW + 61_000, given_back=False)
    assert len(shelf.bucket(0)["h"]) == MAX_ENTRIES_FOR_POINTERS - 10 + 1
    fences = [entry for entry in shelf.bucket(1)["h"].values() if entry["q"] == 0]
    assert fences == [{"q": 0, "u": NOW // 1000 + 61 + 60}] * 10
    assert shelf.stock.audit(shelf.layout, 1, NOW).mismatches == ()


def test_pointers_of_living_holds_and_young_ones_stay_and_nobody_is_turned_away(tables: Tables) -> None:
    shelf = Shelf(tables, [0, MAX_ENTRIES_FOR_POINTERS + 40])
    living = strays(shelf, MAX_ENTRIES_FOR_POINTERS - 20, now=NOW, given_back=False)
    young = strays(shelf, 20, now=NOW + 50_000, given_back=True)
    (late,) = strays(shelf, 1, now=NOW + 61_000, given_back=False)
    assert {*living, *young, late} == set(shelf.bucket(0)["h"])


def test_a_hold_whose_pointer_went_is_taken_once_by_its_repeat(tables: Tables) -> None:
    shelf = Shelf(tables, [0, 1])
    names = strays(shelf, MAX_ENTRIES_FOR_POINTERS, now=NOW, given_back=True)
    (last,) = strays(shelf, 1, now=NOW + 61_000, given_back=True)
    gone = next(name for name in names if name not in shelf.bucket(0)["h"])
    assert not isinstance(shelf.take(gone, now=NOW + 62_000), Taken)  # its fence still stands where it was
    again = shelf.take(gone, until=UNTIL + 3_600, now=NOW + 61_000 + 63_000)
    assert isinstance(again, Taken)
    assert shelf.stock.audit(shelf.layout, 1, NOW).mismatches == ()
    assert last in shelf.bucket(0)["h"]


def test_fences_that_lapsed_go_and_those_that_stand_stay(tables: Tables) -> None:
    shelf = Shelf(tables, [0, 1])
    store = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    old, young = (name for name, _ in zip(shelf.ids(1), range(2), strict=False))
    assert store.write("d", 0, expressions.set_fence(old, SECONDS)) is None
    assert store.write("d", 0, expressions.set_fence(young, SECONDS + 60)) is None
    sweep_pointers(store, shelf.layout, store.read_bucket("d", 0, strong=True), NOW + 3_000)
    assert shelf.bucket(0)["h"] == {young: {"q": 0, "u": SECONDS + 60}}
