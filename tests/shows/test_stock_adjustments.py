"""Added stock counts once after any repeat, and after a crash at any call."""

from __future__ import annotations

import pytest

from chalicelib.errors import BadInput, Conflict, NotFound
from chalicelib.instants import SECOND
from chalicelib.shows import CueApplied, CueRefused, CueRepeated, CueType
from chalicelib.stock import OrderRef, SoldOut, Taken, hold_id
from tests.builders.shows import NOW, ShowFixture, a_cue
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient, die_from_call, once_at_call
from tests.fakes.process_died import ProcessDied

LATER = NOW + SECOND


def stock_and_audit(show_fixture: ShowFixture) -> tuple[int, int, tuple[str, ...]]:
    drop = show_fixture.drop()
    audit = show_fixture.stock.audit(drop.pool, drop.stock, LATER)
    return drop.stock, audit.available, audit.mismatches


def test_added_units_are_offered_at_once(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=3)
    answer = show_fixture.shows.adjust_stock("d1", 7, "key-1", "ann", NOW)
    assert (answer.quantity, answer.moved, answer.drop.stock, answer.repeated) == (7, 7, 10, False)
    assert stock_and_audit(show_fixture) == (10, 10, ())
    assert (show_fixture.live_drop().size, show_fixture.live_drop().available) == (10, 10)


def test_repeated_key_counts_once(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=3)
    answers = [show_fixture.shows.adjust_stock("d1", 7, "key-1", "ann", NOW).repeated for _ in range(3)]
    assert (answers, stock_and_audit(show_fixture)) == ([False, True, True], (10, 10, ()))


def test_key_with_another_quantity_is_refused(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=3)
    show_fixture.shows.adjust_stock("d1", 7, "key-1", "ann", NOW)
    with pytest.raises(Conflict) as refusal:
        show_fixture.shows.adjust_stock("d1", 8, "key-1", "ann", NOW)
    assert refusal.value.code == "idempotency_conflict"
    assert stock_and_audit(show_fixture) == (10, 10, ())


def test_unknown_drop_is_not_found(tables: Tables) -> None:
    with pytest.raises(NotFound):
        ShowFixture(tables).with_drop().shows.adjust_stock("d9", 7, "key-1", "ann", NOW)


@pytest.mark.parametrize("quantity", [0, -1_000_001, 1_000_001])
def test_quantity_out_of_bounds_is_refused(tables: Tables, quantity: int) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    before = show_fixture.all_items()
    with pytest.raises(BadInput) as refusal:
        show_fixture.shows.adjust_stock("d1", quantity, "key-1", "ann", NOW)
    assert refusal.value.field == "$.quantity"
    assert show_fixture.all_items() == before


def test_stock_added_cue_counts_once_at_any_age(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=3)
    cue = a_cue(CueType.STOCK_ADDED, NOW - 3_600 * SECOND, quantity=7)
    assert [show_fixture.shows.apply_cue(cue, NOW) for _ in range(2)] == [CueApplied(), CueRepeated()]
    assert stock_and_audit(show_fixture) == (10, 10, ())


def test_stock_added_cue_for_an_unknown_drop_is_refused(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    answer = show_fixture.shows.apply_cue(a_cue(CueType.STOCK_ADDED, quantity=7, subject="d9"), NOW)
    assert isinstance(answer, CueRefused)
    assert [refused.code for refused in show_fixture.shows.refused_cues(None)] == ["unknown_subject"]


def test_drop_grows_within_its_buckets_only(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=24)
    show_fixture.shows.adjust_stock("d1", 976, "key-1", "ann", NOW)
    with pytest.raises(BadInput, match="1000 units or fewer"):
        show_fixture.shows.adjust_stock("d1", 1, "key-2", "ann", NOW)
    assert show_fixture.drop().bucket_count == 1
    assert stock_and_audit(show_fixture) == (1_000, 1_000, ())


def test_added_units_are_sold_to_the_last(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=60)
    show_fixture.shows.adjust_stock("d1", 240, "key-1", "ann", NOW)
    drop, sold = show_fixture.drop(), 0
    for number in range(900):
        now = NOW + 1_100 * number
        answer = show_fixture.stock.take(
            drop.pool, hold_id(f"p{number}", "d1", 1, 1), 1, now // 1000 + 60, None, now=now
        )
        if isinstance(answer, Taken):
            show_fixture.stock.commit(drop.pool, answer.hold, 1, OrderRef(f"order-{number:03}", 1))
            sold += 1
        elif isinstance(answer, SoldOut):
            break
    assert sold == 300


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("successor", ["the same request", "another request"])
def test_plan_is_carried_out_once_after_a_crash_at_any_call(tables: Tables, moment: str, successor: str) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=24)
    expected = 24
    for call in range(1, 100):
        key = f"key-{call}"
        client = HookedClient(tables.dynamodb, **{moment: die_from_call(at=call)})
        try:
            ShowFixture(tables, client).shows.adjust_stock("d1", 30, key, "ann", NOW)
        except ProcessDied:
            if successor == "another request":
                show_fixture.shows.adjust_stock("d1", 1, f"{key}-other", "bob", LATER)
                expected += 1
            show_fixture.shows.adjust_stock("d1", 30, key, "ann", LATER)
        else:
            break
        expected += 30
        assert stock_and_audit(show_fixture) == (expected, expected, ())
    assert 6 < call < 30


@pytest.mark.parametrize("operation", ["get_item", "transact_write_items"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("same_key", [True, False])
def test_two_requests_at_once_count_each_key_once(tables: Tables, operation: str, moment: str, same_key: bool) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=3)
    key = "key-1" if same_key else "key-2"
    hook = once_at_call(operation, lambda: show_fixture.shows.adjust_stock("d1", 7, key, "bob", NOW))
    client = HookedClient(tables.dynamodb, **{moment: hook})
    ShowFixture(tables, client).shows.adjust_stock("d1", 7, "key-1", "ann", NOW)
    total = 10 if same_key else 17
    assert stock_and_audit(show_fixture) == (total, total, ())


def test_held_and_sold_units_are_not_taken_away(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=60)
    drop, taken = show_fixture.drop(), 0
    for number in range(20):
        name = hold_id(f"p{number}", "d1", 1, 1)
        answer = show_fixture.stock.take(drop.pool, name, 1, LATER // 1000 + 60, None, now=NOW)
        assert isinstance(answer, Taken)
        taken += 1
        if number % 2:
            show_fixture.stock.commit(drop.pool, answer.hold, 1, OrderRef(f"order-{number:03}", 1))
    first = show_fixture.shows.adjust_stock("d1", -15, "key-1", "ann", NOW)
    assert (first.quantity, first.moved, first.drop.stock, first.repeated) == (-15, -15, 45, False)
    assert stock_and_audit(show_fixture) == (45, 45 - taken, ())
    rest = show_fixture.shows.adjust_stock("d1", -100, "key-2", "ann", NOW)
    assert (rest.quantity, rest.moved, rest.drop.stock) == (-100, taken - 45, taken)
    again = show_fixture.shows.adjust_stock("d1", -15, "key-1", "ann", NOW)
    assert (again.moved, again.drop.stock, again.repeated) == (-15, taken, True)
    assert stock_and_audit(show_fixture) == (taken, 0, ())
    assert (show_fixture.live_drop().size, show_fixture.live_drop().available) == (taken, 0)


def test_units_of_expired_holds_are_taken_away(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=3)
    show_fixture.stock.take(show_fixture.drop().pool, hold_id("p", "d1", 1, 2), 2, NOW // 1000 - 60, None, now=NOW)
    assert show_fixture.shows.adjust_stock("d1", -3, "key-1", "ann", NOW).moved == -3
    assert stock_and_audit(show_fixture) == (0, 0, ())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_units_are_taken_away_once_after_a_crash_at_any_call(tables: Tables, moment: str) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=100)
    for call in range(1, 100):
        key = f"key-{call}"
        before = show_fixture.drop().stock
        client = HookedClient(tables.dynamodb, **{moment: die_from_call(at=call)})
        try:
            ShowFixture(tables, client).shows.adjust_stock("d1", -3, key, "ann", NOW)
        except ProcessDied:
            show_fixture.shows.adjust_stock("d1", 1, f"{key}-other", "bob", LATER)
            show_fixture.shows.adjust_stock("d1", -3, key, "ann", LATER)
            assert stock_and_audit(show_fixture) == (before - 2, before - 2, ())
        else:
            break
    assert 5 < call < 40


def test_two_requests_with_one_key_take_units_away_once(tables: Tables) -> None:
    for operation in ("update_item", "transact_write_items", "get_item"):
        show_fixture, key = ShowFixture(tables), f"key-{operation}"
        show_fixture.with_drop(stock=60)
        before = show_fixture.drop().stock
        hook = once_at_call(operation, lambda: ShowFixture(tables).shows.adjust_stock("d1", -7, key, "bob", NOW))  # noqa: B023
        client = HookedClient(tables.dynamodb, before=hook)
        assert ShowFixture(tables, client).shows.adjust_stock("d1", -7, key, "ann", NOW).moved == -7
        assert stock_and_audit(show_fixture)[0] == before - 7
        assert stock_and_audit(show_fixture)[2] == ()
        show_fixture.shows.adjust_stock("d1", 7, f"{key}-back", "ann", NOW)
