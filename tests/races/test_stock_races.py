"""Concurrent buyers on every engine: no unit is sold twice, lost, stranded or misreported (Invariants 1a to 1d, 2a).

``LIVEDROP_RACES`` is the number of rounds, ``LIVEDROP_SECOND_ENGINE=1`` adds DynamoDB Local. Figures go to
``build/races.json``.
"""

from __future__ import annotations

from collections import Counter

import pytest

from chalicelib.stock import Taken, hold_id
from chalicelib.stock.bucket import BucketEntry
from tests.races import stock_buyers, stock_race
from tests.races.faulty_client import NO_FAULTS
from tests.races.invariants import violations_in
from tests.races.race_harness import MANY_ROUNDS, RaceHarness, is_caught, report, run_control, run_rounds
from tests.races.sold_out_check import BucketWrite, SoldOutAnswer, count_false_answers
from tests.races.stock_race import NOW, StockRace, StockRaceProcess

pytestmark = pytest.mark.emulator

SIZES = (5, 4, 3, 6)
BUYERS = 32


def run_stock_round(
    harness: RaceHarness,
    number: int,
    *,
    undoing: bool,
    reads_then_writes: bool = False,
    says_sold_out_when_held: bool = False,
) -> Counter[str]:
    """Run one race for a new drop, from its buckets' creation to its last unit."""
    tables = harness.tables("control" if reads_then_writes else "race")
    drop_id = f"drop-{'undoing' if undoing else 'final'}{'-hasty' if says_sold_out_when_held else ''}-{number}"
    race = StockRace(
        harness.account,
        tables.stock,
        tables.commerce,
        drop_id,
        SIZES,
        BUYERS,
        drop_id,
        undoing,
        reads_then_writes,
        says_sold_out_when_held,
    )
    stock_race.create_race_buckets(race)
    shares = harness.run_in_processes(stock_buyers.run_share, race, NOW)
    return stock_race.finish_race(race, harness.clock, shares) + Counter(units=race.units, buyers=BUYERS)


@pytest.mark.parametrize("undoing", [False, True], ids=["final", "undoing"])
def test_concurrent_buyers_buy_every_unit_and_none_twice(harness: RaceHarness, undoing: bool) -> None:
    figures = run_rounds(lambda number: run_stock_round(harness, number, undoing=undoing))
    control = run_control(lambda number: run_stock_round(harness, number, undoing=undoing, reads_then_writes=True))
    report(f"stock, sales {'undone' if undoing else 'final'}", harness.engine, figures, control)
    assert violations_in(figures) == {}
    assert figures["sold"] == figures["units"]
    assert figures["faults"] > 0
    assert is_caught(control), "reading, then writing, was not caught"
    if figures["rounds"] >= MANY_ROUNDS:
        assert min(figures[name] for name in ("reclaims", "overflows", "replays")) > 0


def test_sold_out_answered_while_all_is_held_is_caught(harness: RaceHarness) -> None:
    """The control for an answer that no later reading proves wrong, but the writes around it do."""
    assert run_stock_round(harness, 0, undoing=True, says_sold_out_when_held=True)["false_sold_out"] > 0


@pytest.mark.parametrize(
    ("writes", "wrong"),
    [
        ([], True),
        ([BucketWrite("a", 0, 1, 0)], True),
        ([BucketWrite("a", 0, 1, 0), BucketWrite("b", 4, 6, 0)], False),
        ([BucketWrite("a", 0, 1, 0), BucketWrite("b", 4, 6, None)], False),
        ([BucketWrite("a", 0, 1, 0), BucketWrite("b", 8, 9, 0)], True),
        ([BucketWrite("a", 0, 1, 0), BucketWrite("a", 2, 4, 1), BucketWrite("b", 5, 6, 0)], True),
        ([BucketWrite("a", 0, 1, 0), BucketWrite("a", 2, 5, 1), BucketWrite("b", 4, 6, 0)], False),
    ],
    ids=["untouched", "one left", "both", "unknown", "too late", "one restocked before the other is sold", "at a time"],
)
def test_sold_out_answer_is_false_when_a_unit_was_surely_unsold_all_the_time(
    writes: list[BucketWrite], wrong: bool
) -> None:
    assert count_false_answers([SoldOutAnswer(3, 7)], writes, ["a", "b"]) == wrong


@pytest.mark.parametrize("expires", [True, False], ids=["expiring", "control: never expires"])
def test_late_buyers_get_what_expired(harness: RaceHarness, monkeypatch: pytest.MonkeyPatch, expires: bool) -> None:
    tables, drop_id = harness.tables("race"), f"left-{expires}"
    race = StockRace(harness.account, tables.stock, tables.commerce, drop_id, SIZES, 0, drop_id)
    stock_race.create_race_buckets(race)
    harness.clock.reset(NOW)
    process = StockRaceProcess(race, harness.clock, "left", NO_FAULTS)
    assert isinstance(process.take(hold_id("p", drop_id, 1, 3), 3, None)(), Taken)
    if not expires:
        monkeypatch.setattr(BucketEntry, "is_expired", lambda self, now: False)
    found = stock_race.finish_race(race, harness.clock)
    assert found["undersold"] == (0 if expires else 3)
    assert found["sold"] == race.units - found["undersold"]
