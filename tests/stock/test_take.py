"""A take: its results, its writes, and its cost in calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.stock import AllHeld, Busy, HoldRef, InsufficientUnits, SoldOut, Taken
from tests.builders.stock import EXPIRES_AT, NOW, ORDER, SECONDS, StockFixture
from tests.conftest import Tables


@contextmanager
def aws_calls(fixture: StockFixture) -> Iterator[list[str]]:
    """Record the AWS calls of a block, by operation."""
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    events = fixture.tables.dynamodb.meta.events
    events.register("before-call.dynamodb", note)
    yield made
    events.unregister("before-call.dynamodb", note)


def test_a_take_at_home_is_one_write_and_no_read(tables: Tables) -> None:
    fixture = StockFixture(tables, [3, 3])
    name = next(fixture.ids(1))
    with aws_calls(fixture) as calls:
        answer = fixture.take(name, 2, summary=fixture.summary_with_open(0, 1))
    assert answer == Taken(HoldRef(name, 1, 2, EXPIRES_AT))
    assert calls == ["UpdateItem"]
    assert fixture.bucket(1) == {"a": 1, "s": 3, "h": {name: {"q": 2, "u": EXPIRES_AT}}}


def test_a_repeated_take_finds_its_own_hold(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    name = next(fixture.ids(0))
    first = fixture.hold(name)
    before = fixture.bucket(0)
    assert fixture.take(name, expires_at=EXPIRES_AT + 60) == Taken(first, replay=True)
    assert fixture.take(name, summary=fixture.summary_with_open(0)) == Taken(first, replay=True)
    assert fixture.bucket(0) == before


def test_a_repeated_take_finds_its_own_hold_away_from_home(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 2])
    ids = fixture.ids(0)
    fixture.hold(next(ids))
    name = next(ids)
    answers = [fixture.take(name, summary=fixture.stock.refresh(fixture.pool, NOW)) for _ in range(2)]
    hold = HoldRef(name, 1, 1, EXPIRES_AT)
    assert answers == [Taken(hold), Taken(hold, replay=True)]


def test_a_hold_is_found_in_any_bucket(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 2])
    ids = fixture.ids(0)
    at_home, away, never = next(ids), next(ids), next(ids)
    holds = [fixture.hold(at_home), fixture.hold(away)]
    assert [hold.bucket for hold in holds] == [0, 1]
    assert [fixture.stock.find_hold(fixture.pool, name) for name in (at_home, away, never)] == [
        *(Taken(hold, replay=True) for hold in holds),
        None,
    ]
    fixture.stock.commit(fixture.pool, holds[1], 1, ORDER)
    found = fixture.stock.find_hold(fixture.pool, away)
    assert found is not None
    assert found.committed


def test_a_repeated_take_of_a_committed_hold_answers_committed(tables: Tables) -> None:
    fixture = StockFixture(tables, [2])
    hold = fixture.hold(next(fixture.ids(0)), 2)
    fixture.stock.commit(fixture.pool, hold, 2, ORDER)
    assert fixture.take(hold.id, 2) == Taken(hold, replay=True, committed=True)


def test_a_repeated_take_finds_its_expired_hold_and_renews_nothing(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    name = next(fixture.ids(0))
    fixture.hold(name, expires_at=SECONDS - 10)
    assert fixture.take(name) == Taken(HoldRef(name, 0, 1, SECONDS - 10), replay=True)
    assert fixture.bucket(0) == {"a": 0, "s": 1, "h": {name: {"q": 1, "u": SECONDS - 10}}}


def test_a_take_reclaims_expired_holds_in_its_second_write(tables: Tables) -> None:
    fixture = StockFixture(tables, [3])
    expired, other, name = (name for name, _ in zip(fixture.ids(0), range(3), strict=False))
    fixture.hold(expired, 2, expires_at=SECONDS - 3)
    fixture.hold(other, 1)
    with aws_calls(fixture) as calls:
        assert fixture.take(name, summary=fixture.summary_with_open(0)) == Taken(HoldRef(name, 0, 1, EXPIRES_AT))
    assert calls == ["UpdateItem", "UpdateItem"]
    assert fixture.bucket(0) == {
        "a": 1,
        "s": 3,
        "h": {other: {"q": 1, "u": EXPIRES_AT}, name: {"q": 1, "u": EXPIRES_AT}},
    }


def test_a_take_away_from_home_writes_a_pointer_at_home_first(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, 2])
    name = next(fixture.ids(0))
    with aws_calls(fixture) as calls:
        assert fixture.take(name, summary=fixture.summary_with_open(1)) == Taken(HoldRef(name, 1, 1, EXPIRES_AT))
    assert calls == ["GetItem", "UpdateItem", "UpdateItem"]
    assert fixture.bucket(0)["h"] == {name: {"q": 0, "f": 1, "v": NOW}}
    assert fixture.bucket(1) == {"a": 1, "s": 2, "h": {name: {"q": 1, "u": EXPIRES_AT}}}
    assert fixture.take(name) == Taken(HoldRef(name, 1, 1, EXPIRES_AT), replay=True)


def test_a_take_returns_to_a_refilled_home_and_leaves_a_fence(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 1])
    at_home, stray = (name for name, _ in zip(fixture.ids(0), range(2), strict=False))
    blocker = fixture.hold(at_home)
    fixture.stock.release(fixture.pool, fixture.hold(stray))
    fixture.hold(next(fixture.ids(1)))
    fixture.stock.release(fixture.pool, blocker)
    fixture.stock.refresh(fixture.pool, NOW + 1)
    assert fixture.take(stray, now=NOW + 2) == Taken(HoldRef(stray, 0, 1, EXPIRES_AT))
    assert fixture.bucket(0) == {"a": 0, "s": 1, "h": {stray: {"q": 1, "u": EXPIRES_AT}}}
    assert fixture.bucket(1)["h"][stray] == {"q": 0, "u": SECONDS + 60}


def test_a_first_try_while_the_summary_shows_nothing_costs_no_call(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    name = next(fixture.ids(0))
    nothing = replace(fixture.summary_with_open(), sold=0)
    with aws_calls(fixture) as calls:
        assert fixture.take(name, summary=replace(nothing, sold=1, sold_out_at=NOW)) == SoldOut()
        assert fixture.take(name, summary=replace(nothing, held=1, next_lapse_at=EXPIRES_AT)) == AllHeld(EXPIRES_AT + 3)
        assert isinstance(fixture.take(name, summary=nothing), Busy)
        assert fixture.take(
            name, 2, summary=replace(fixture.summary_with_open(0), largest_obtainable=1, fullest_bucket=0)
        ) == InsufficientUnits(1)
    assert calls == []


def test_an_expired_hold_is_found_although_no_summary_shows_it(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 1])
    fixture.hold(next(fixture.ids(0)), expires_at=SECONDS + 5)
    fixture.hold(next(fixture.ids(1)))
    known = fixture.stock.refresh(fixture.pool, NOW)
    assert known.available == 0
    late = next(name for name in fixture.ids(1) if name not in fixture.bucket(1)["h"])
    assert fixture.take(late, summary=known, now=NOW + 7_000) == AllHeld(SECONDS + 8)
    assert fixture.take(late, summary=known, now=NOW + 8_000) == Taken(HoldRef(late, 0, 1, EXPIRES_AT))


def test_a_drop_is_sold_out_only_when_every_unit_is_sold(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    ids = fixture.ids(0)
    hold, other = fixture.hold(next(ids)), next(ids)
    assert fixture.take(other, now=NOW + 2_000) == AllHeld(EXPIRES_AT + 3)
    fixture.stock.commit(fixture.pool, hold, 1, ORDER)
    assert fixture.take(other, now=NOW + 4_000) == SoldOut()


def test_a_hold_is_never_split_and_the_largest_remainder_of_a_bucket_is_offered(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 2])
    name = next(fixture.ids(0))
    before = [fixture.bucket(0), fixture.bucket(1)]
    assert fixture.take(name, 3) == InsufficientUnits(2)
    assert fixture.take(name, 3, summary=fixture.summary_with_open(0, 1)) == InsufficientUnits(2)
    assert [fixture.bucket(0), fixture.bucket(1)] == before


def test_a_take_reads_at_most_four_other_buckets(tables: Tables) -> None:
    fixture = StockFixture(tables, [0] * 8)
    with aws_calls(fixture) as calls:
        assert isinstance(
            fixture.take(next(fixture.ids(0)), summary=fixture.summary_with_open(1, 2, 3, 4, 5, 6, 7)), Busy
        )
    assert calls == ["GetItem"] * 4


def test_a_bucket_found_empty_is_skipped_for_a_second_or_until_a_newer_summary(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, 9])
    ids, known = fixture.ids(0), fixture.summary_with_open(0, 1)
    elsewhere = ["GetItem", "UpdateItem", "UpdateItem"]  # a read there, the pointer at home, the hold
    for later, summary, asked_at_home in [
        (1, known, True),
        (2, known, False),
        (1_000, known, False),
        (1_001, known, True),
        (1_100, known, False),
        (1_200, replace(known, as_of=NOW + 1_101), True),
    ]:
        with aws_calls(fixture) as calls:
            assert isinstance(fixture.take(next(ids), summary=summary, now=NOW + later), Taken)
        assert calls == ["UpdateItem"] * asked_at_home + elsewhere


def test_the_fullest_bucket_is_the_last_read_at_the_latest(tables: Tables) -> None:
    fixture = StockFixture(tables, [0, 1, 1, 1, 1, 1, 1, 1, 5])
    known = replace(fixture.summary_with_open(1, 2, 3, 4, 5, 6, 7, 8), largest_obtainable=5, fullest_bucket=8)
    name = next(fixture.ids(0))
    assert fixture.take(name, 5, summary=known) == Taken(HoldRef(name, 8, 5, EXPIRES_AT))


@pytest.mark.parametrize("lost_after", ["request", "answer"])
def test_a_take_that_was_cut_off_takes_once_when_repeated(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, lost_after: str
) -> None:
    fixture = StockFixture(tables, [1])
    name, update = next(fixture.ids(0)), tables.dynamodb.update_item

    def cut(**call: Any) -> Any:
        if lost_after == "answer":
            update(**call)
        raise ReadTimeoutError(endpoint_url="here")

    with monkeypatch.context() as patched:
        patched.setattr(tables.dynamodb, "update_item", cut)
        with pytest.raises(ReadTimeoutError):
            fixture.take(name, summary=fixture.summary_with_open(0))
    assert fixture.take(name) == Taken(HoldRef(name, 0, 1, EXPIRES_AT), replay=lost_after == "answer")
    assert fixture.bucket(0) == {"a": 0, "s": 1, "h": {name: {"q": 1, "u": EXPIRES_AT}}}


def test_a_hold_id_that_begins_with_a_dash_works(tables: Tables) -> None:
    fixture = StockFixture(tables, [1])
    name = next(name for name in fixture.ids(0) if name.startswith("-"))
    hold = fixture.hold(name)
    assert fixture.stock.release(fixture.pool, hold) is True
    assert fixture.bucket(0) == {"a": 1, "s": 1, "h": {}}


def test_24_holds_and_nine_pointers_fit_into_one_write_unit() -> None:
    """DynamoDB counts names and values, 3 bytes a map, 1 byte an entry, and 1 byte a number plus 1 for two digits."""
    base = len("pk") + len("drop-12345#23") + len("a") + 2 + len("s") + 2 + len("h") + 3
    again = 1 + 11 + 1 + 3 + (1 + 2 + 1) + (1 + 6 + 1) + (1 + 12 + 1)
    held = 1 + 11 + 1 + 3 + (1 + 2 + 1) + (1 + 6 + 1)
    pointer = 1 + 11 + 1 + 3 + (1 + 1 + 1) + (1 + 2 + 1) + (1 + 8 + 1)
    assert base + 24 * again == 1_033  # when every hold of a bucket is reverted at once, a write costs 2 units
    assert base + 24 * held + 9 * pointer <= 1_024
