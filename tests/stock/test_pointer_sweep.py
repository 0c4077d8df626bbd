"""A home full of pointers loses those of holds that are over, so that it can send takes to other buckets."""

from __future__ import annotations

from chalicelib.stock import Taken, expressions
from chalicelib.stock.bucket import MAX_ENTRIES_FOR_POINTERS
from chalicelib.stock.pointer_sweep import sweep_pointers
from chalicelib.stock.store import StockStore
from tests.builders.stock import EXPIRES_AT, NOW, SECONDS, StockFixture
from tests.conftest import Tables


def overflow_holds(fixture: StockFixture, count: int, *, now: int, released: bool) -> list[str]:
    """Place holds of home 0 in bucket 1, one after another."""
    taken = []
    names = (name for name in fixture.ids(0) if name not in fixture.bucket(0)["h"])
    for name, _ in zip(names, range(count), strict=False):
        answer = fixture.take(name, expires_at=EXPIRES_AT + 3_600, summary=fixture.summary_with_open(1), now=now)
        assert isinstance(answer, Taken)
        assert answer.hold.bucket == 1
        taken.append(name)
        if released:
            fixture.stock.release(fixture.pool, answer.hold)
    return taken


def test_a_home_full_of_pointers_of_gone_holds_has_room_again(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, 1])
    overflow_holds(fixture, MAX_ENTRIES_FOR_POINTERS, now=NOW, released=True)
    assert len(fixture.bucket(0)["h"]) == MAX_ENTRIES_FOR_POINTERS
    overflow_holds(fixture, 1, now=NOW + 61_000, released=False)
    assert len(fixture.bucket(0)["h"]) == MAX_ENTRIES_FOR_POINTERS - 10 + 1
    fences = [entry for entry in fixture.bucket(1)["h"].values() if entry["q"] == 0]
    assert fences == [{"q": 0, "u": NOW // 1000 + 61 + 60}] * 10
    assert fixture.stock.audit(fixture.pool, 1, NOW).mismatches == ()


def test_pointers_of_existing_holds_and_young_pointers_stay_and_no_buyer_is_refused(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, MAX_ENTRIES_FOR_POINTERS + 40])
    living = overflow_holds(fixture, MAX_ENTRIES_FOR_POINTERS - 20, now=NOW, released=False)
    young = overflow_holds(fixture, 20, now=NOW + 50_000, released=True)
    (late,) = overflow_holds(fixture, 1, now=NOW + 61_000, released=False)
    assert {*living, *young, late} == set(fixture.bucket(0)["h"])


def test_a_hold_whose_pointer_was_swept_is_placed_once_by_its_repeat(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, 1])
    names = overflow_holds(fixture, MAX_ENTRIES_FOR_POINTERS, now=NOW, released=True)
    (last,) = overflow_holds(fixture, 1, now=NOW + 61_000, released=True)
    gone = next(name for name in names if name not in fixture.bucket(0)["h"])
    assert not isinstance(fixture.take(gone, now=NOW + 62_000), Taken)  # the fence at its old bucket has not expired
    again = fixture.take(gone, expires_at=EXPIRES_AT + 3_600, now=NOW + 61_000 + 63_000)
    assert isinstance(again, Taken)
    assert fixture.stock.audit(fixture.pool, 1, NOW).mismatches == ()
    assert last in fixture.bucket(0)["h"]


def test_expired_fences_are_removed_and_others_stay(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, 1])
    store = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    old, young = (name for name, _ in zip(fixture.ids(1), range(2), strict=False))
    assert store.write("d", 0, expressions.set_fence(old, SECONDS)) is None
    assert store.write("d", 0, expressions.set_fence(young, SECONDS + 60)) is None
    sweep_pointers(store, fixture.pool, store.read_bucket("d", 0, strong=True), NOW + 3_000)
    assert fixture.bucket(0)["h"] == {young: {"q": 0, "u": SECONDS + 60}}
