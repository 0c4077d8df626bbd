"""Stock that is added is counted once, whatever is repeated and whoever dies."""

from __future__ import annotations

import pytest

from chalicelib.errors import BadInput, Conflict, NotFound
from chalicelib.instants import SECOND
from chalicelib.shows import CueApplied, CueRefused, CueRepeated, CueType
from chalicelib.stock import OrderRef, SoldOut, Taken, hold_id
from tests.conftest import Tables
from tests.shows.builders import NOW, Died, Interposed, Stage, a_cue, dying, once_at

LATER = NOW + SECOND


def audited(stage: Stage) -> tuple[int, int, tuple[str, ...]]:
    drop = stage.drop()
    audit = stage.stock.audit(drop.pool, drop.stock, LATER)
    return drop.stock, audit.available, audit.mismatches


def test_added_units_are_offered_at_once(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    answer = stage.shows.adjust_stock("d1", 7, "key-1", "ann", NOW)
    assert (answer.quantity, answer.moved, answer.drop.stock, answer.repeated) == (7, 7, 10, False)
    assert audited(stage) == (10, 10, ())
    assert (stage.seen().size, stage.seen().available) == (10, 10)


def test_a_key_counts_once(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    answers = [stage.shows.adjust_stock("d1", 7, "key-1", "ann", NOW).repeated for _ in range(3)]
    assert (answers, audited(stage)) == ([False, True, True], (10, 10, ()))


def test_a_key_with_another_quantity_is_refused(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    stage.shows.adjust_stock("d1", 7, "key-1", "ann", NOW)
    with pytest.raises(Conflict) as refusal:
        stage.shows.adjust_stock("d1", 8, "key-1", "ann", NOW)
    assert refusal.value.code == "idempotency_conflict"
    assert audited(stage) == (10, 10, ())


def test_an_unknown_drop_gets_none(tables: Tables) -> None:
    with pytest.raises(NotFound):
        Stage(tables).set().shows.adjust_stock("d9", 7, "key-1", "ann", NOW)


@pytest.mark.parametrize("quantity", [0, -1_000_001, 1_000_001])
def test_a_quantity_has_bounds(tables: Tables, quantity: int) -> None:
    stage = Stage(tables).set()
    before = stage.everything()
    with pytest.raises(BadInput) as refusal:
        stage.shows.adjust_stock("d1", quantity, "key-1", "ann", NOW)
    assert refusal.value.field == "$.quantity"
    assert stage.everything() == before


def test_a_cue_adds_stock_once_whatever_its_time(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    cue = a_cue(CueType.STOCK_ADDED, NOW - 3_600 * SECOND, quantity=7)
    assert [stage.shows.apply_cue(cue, NOW) for _ in range(2)] == [CueApplied(), CueRepeated()]
    assert audited(stage) == (10, 10, ())


def test_a_cue_for_an_unknown_drop_is_refused(tables: Tables) -> None:
    stage = Stage(tables).set()
    answer = stage.shows.apply_cue(a_cue(CueType.STOCK_ADDED, quantity=7, subject="d9"), NOW)
    assert isinstance(answer, CueRefused)
    assert [refused.code for refused in stage.shows.refused_cues(None)] == ["unknown_subject"]


def test_a_drop_grows_in_the_buckets_it_has(tables: Tables) -> None:
    stage = Stage(tables).set(stock=24)
    stage.shows.adjust_stock("d1", 976, "key-1", "ann", NOW)
    with pytest.raises(BadInput, match="may grow to 1000 units"):
        stage.shows.adjust_stock("d1", 1, "key-2", "ann", NOW)
    assert stage.drop().bucket_count == 1
    assert audited(stage) == (1_000, 1_000, ())


def test_added_units_are_sold_to_the_last(tables: Tables) -> None:
    stage = Stage(tables).set(stock=60)
    stage.shows.adjust_stock("d1", 240, "key-1", "ann", NOW)
    drop, sold = stage.drop(), 0
    for turn in range(900):
        now = NOW + 1_100 * turn
        answer = stage.stock.take(drop.pool, hold_id(f"p{turn}", "d1", 1, 1), 1, now // 1000 + 60, None, now=now)
        if isinstance(answer, Taken):
            stage.stock.commit(drop.pool, answer.hold, 1, OrderRef(f"order-{turn:03}", 1))
            sold += 1
        elif isinstance(answer, SoldOut):
            break
    assert sold == 300


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("successor", ["the same request", "another request"])
def test_a_plan_is_carried_out_once_wherever_the_process_died(tables: Tables, moment: str, successor: str) -> None:
    stage = Stage(tables).set(stock=24)
    expected = 24
    for call in range(1, 100):
        key = f"key-{call}"
        client = Interposed(tables.dynamodb, **{moment: dying(at=call)})
        try:
            Stage(tables, client).shows.adjust_stock("d1", 30, key, "ann", NOW)
        except Died:
            if successor == "another request":
                stage.shows.adjust_stock("d1", 1, f"{key}-other", "bob", LATER)
                expected += 1
            stage.shows.adjust_stock("d1", 30, key, "ann", LATER)
        else:
            break
        expected += 30
        assert audited(stage) == (expected, expected, ())
    assert 6 < call < 30


@pytest.mark.parametrize("operation", ["get_item", "transact_write_items"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("same_key", [True, False])
def test_two_at_once_count_each_key_once(tables: Tables, operation: str, moment: str, same_key: bool) -> None:
    stage = Stage(tables).set(stock=3)
    key = "key-1" if same_key else "key-2"
    hook = once_at(operation, lambda: stage.shows.adjust_stock("d1", 7, key, "bob", NOW))
    client = Interposed(tables.dynamodb, **{moment: hook})
    Stage(tables, client).shows.adjust_stock("d1", 7, "key-1", "ann", NOW)
    total = 10 if same_key else 17
    assert audited(stage) == (total, total, ())


def test_units_are_taken_away_but_for_those_held_or_sold(tables: Tables) -> None:
    stage = Stage(tables).set(stock=60)
    drop, taken = stage.drop(), 0
    for number in range(20):
        name = hold_id(f"p{number}", "d1", 1, 1)
        answer = stage.stock.take(drop.pool, name, 1, LATER // 1000 + 60, None, now=NOW)
        assert isinstance(answer, Taken)
        taken += 1
        if number % 2:
            stage.stock.commit(drop.pool, answer.hold, 1, OrderRef(f"order-{number:03}", 1))
    first = stage.shows.adjust_stock("d1", -15, "key-1", "ann", NOW)
    assert (first.quantity, first.moved, first.drop.stock, first.repeated) == (-15, -15, 45, False)
    assert audited(stage) == (45, 45 - taken, ())
    rest = stage.shows.adjust_stock("d1", -100, "key-2", "ann", NOW)
    assert (rest.quantity, rest.moved, rest.drop.stock) == (-100, taken - 45, taken)
    again = stage.shows.adjust_stock("d1", -15, "key-1", "ann", NOW)
    assert (again.moved, again.drop.stock, again.repeated) == (-15, taken, True)
    assert audited(stage) == (taken, 0, ())
    assert (stage.seen().size, stage.seen().available) == (taken, 0)


def test_lapsed_holds_are_taken_away_too(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    stage.stock.take(stage.drop().pool, hold_id("p", "d1", 1, 2), 2, NOW // 1000 - 60, None, now=NOW)
    assert stage.shows.adjust_stock("d1", -3, "key-1", "ann", NOW).moved == -3
    assert audited(stage) == (0, 0, ())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_units_are_taken_away_once_wherever_the_process_died(tables: Tables, moment: str) -> None:
    stage = Stage(tables).set(stock=100)
    for call in range(1, 100):
        key = f"key-{call}"
        before = stage.drop().stock
        client = Interposed(tables.dynamodb, **{moment: dying(at=call)})
        try:
            Stage(tables, client).shows.adjust_stock("d1", -3, key, "ann", NOW)
        except Died:
            stage.shows.adjust_stock("d1", 1, f"{key}-other", "bob", LATER)
            stage.shows.adjust_stock("d1", -3, key, "ann", LATER)
            assert audited(stage) == (before - 2, before - 2, ())
        else:
            break
    assert 5 < call < 40


def test_two_who_take_the_same_units_away_at_once_take_them_once(tables: Tables) -> None:
    for operation in ("update_item", "transact_write_items", "get_item"):
        stage, key = Stage(tables), f"key-{operation}"
        stage.set(stock=60)
        before = stage.drop().stock
        hook = once_at(operation, lambda: Stage(tables).shows.adjust_stock("d1", -7, key, "bob", NOW))  # noqa: B023
        client = Interposed(tables.dynamodb, before=hook)
        assert Stage(tables, client).shows.adjust_stock("d1", -7, key, "ann", NOW).moved == -7
        assert audited(stage)[0] == before - 7
        assert audited(stage)[2] == ()
        stage.shows.adjust_stock("d1", 7, f"{key}-back", "ann", NOW)
