"""Stock that is added is counted once, whatever is repeated and whoever dies."""

from __future__ import annotations

import pytest

from chalicelib.errors import BadInput, Conflict, NotFound
from chalicelib.instants import SECOND
from chalicelib.shows import CueApplied, CueRefused, CueRepeated, CueType
from tests.conftest import Tables
from tests.shows.builders import NOW, Died, Interposed, Stage, a_cue, dying, once_at

LATER = NOW + SECOND


def audited(stage: Stage) -> tuple[int, int, tuple[str, ...]]:
    drop = stage.drop()
    audit = stage.stock.audit(drop.layout, drop.stock, LATER)
    return drop.stock, audit.available, audit.mismatches


def test_added_units_are_offered_at_once(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    answer = stage.shows.add_stock("d1", 7, "key-1", "ann", NOW)
    assert (answer.quantity, answer.drop.stock, answer.repeated) == (7, 10, False)
    assert audited(stage) == (10, 10, ())
    assert (stage.seen().size, stage.seen().available) == (10, 10)


def test_a_key_counts_once(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    answers = [stage.shows.add_stock("d1", 7, "key-1", "ann", NOW).repeated for _ in range(3)]
    assert (answers, audited(stage)) == ([False, True, True], (10, 10, ()))


def test_a_key_with_another_quantity_is_refused(tables: Tables) -> None:
    stage = Stage(tables).set(stock=3)
    stage.shows.add_stock("d1", 7, "key-1", "ann", NOW)
    with pytest.raises(Conflict) as refusal:
        stage.shows.add_stock("d1", 8, "key-1", "ann", NOW)
    assert refusal.value.code == "idempotency_conflict"
    assert audited(stage) == (10, 10, ())


def test_an_unknown_drop_gets_none(tables: Tables) -> None:
    with pytest.raises(NotFound):
        Stage(tables).set().shows.add_stock("d9", 7, "key-1", "ann", NOW)


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001])
def test_a_quantity_has_bounds(tables: Tables, quantity: int) -> None:
    stage = Stage(tables).set()
    before = stage.everything()
    with pytest.raises(BadInput) as refusal:
        stage.shows.add_stock("d1", quantity, "key-1", "ann", NOW)
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


def test_units_that_need_more_buckets_get_them(tables: Tables) -> None:
    stage = Stage(tables).set(stock=24)
    stage.shows.add_stock("d1", 24, "key-1", "ann", NOW)
    assert (stage.drop().homes, stage.drop().extra) == (1, 1)
    assert audited(stage) == (48, 48, ())


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("successor", ["the same request", "another request"])
def test_a_plan_is_carried_out_once_wherever_the_process_died(tables: Tables, moment: str, successor: str) -> None:
    stage = Stage(tables).set(stock=24)
    expected = 24
    for call in range(1, 100):
        key = f"key-{call}"
        client = Interposed(tables.dynamodb, **{moment: dying(at=call)})
        try:
            Stage(tables, client).shows.add_stock("d1", 30, key, "ann", NOW)
        except Died:
            if successor == "another request":
                stage.shows.add_stock("d1", 1, f"{key}-other", "bob", LATER)
                expected += 1
            stage.shows.add_stock("d1", 30, key, "ann", LATER)
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
    hook = once_at(operation, lambda: stage.shows.add_stock("d1", 7, key, "bob", NOW))
    client = Interposed(tables.dynamodb, **{moment: hook})
    Stage(tables, client).shows.add_stock("d1", 7, "key-1", "ann", NOW)
    total = 10 if same_key else 17
    assert audited(stage) == (total, total, ())
