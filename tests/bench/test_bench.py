"""The benchmark ends by itself, reports its parts, and counts correctly. No test here is about speed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.bench.command import bench

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    build = tmp_path_factory.mktemp("build")
    bench(build, short=True)
    return json.loads((Path(build) / "bench.json").read_text())


def test_no_strategy_oversells_and_a_counter_sells_every_unit(found: Any) -> None:
    for race in found["rates"]:
        units, buyers = race["units"] * race["rounds"], race["units"] * race["demand"] * race["rounds"]
        for strategy, one in race["strategies"].items():
            assert one["taken"] + one["refused"] == buyers
            assert one["taken"] <= units
            assert one["taken"] == units or strategy == "take"
            assert one["take_ms"]["p50"] <= one["take_ms"]["p99"]
        assert race["strategies"]["counter"]["of_the_counter"] == 1


def test_cost_of_takes_is_the_same_in_every_run(found: Any) -> None:
    same, tenfold = found["cost"]["demands"]
    assert (same["demand"], same["taken"] + same["refused"]) == (1, 48)
    assert (tenfold["demand"], tenfold["taken"] + tenfold["refused"]) == (10, 480)
    assert same["of_buyers"] == {
        "bucket read": 0.5,
        "bucket write": 49,  # 48 takes, one pointer
        "bucket write, refused": 1,
        "summary read": 8,
    }
    assert (same["writes_a_take"], same["writes_a_unit_taken"]) == (1.042, 1.042)
    assert tenfold["of_buyers"] == {
        "bucket read": 3,
        "bucket write": 54,  # 48 takes, six pointers
        "bucket write, refused": 2,
        "summary read": 10,
    }
    assert (tenfold["writes_a_take"], tenfold["writes_a_refused_buyer"]) == (1.167, 0)


def test_buyer_after_sold_out_writes_nothing(found: Any) -> None:
    assert [one["writes_after_sold_out"] for one in found["cost"]["demands"]] == [0, 0]


def test_large_drop_costs_about_one_write_per_bucket_to_create(found: Any) -> None:
    large = found["large"]
    assert large["buckets"] == 100
    assert large["summary_whole"]["read_units"] == large["buckets"] + 1


def test_model_never_oversells_and_lists_its_assumptions(found: Any) -> None:
    simulation = found["simulation"]
    assert len(simulation["assumptions"]) == 7
    (one,) = simulation["scenarios"]
    assert one["taken"] == one["units"] == 48
    assert one["answered_none_left"] == one["buyers"] - 48
    assert one["writes_of_buyers"] >= one["taken"] + one["of_these_refused"]
    assert sum(one["success_by_tenth_of_arrival"]) * 100 == pytest.approx(48, abs=0.1)


def test_model_bills_about_as_much_as_the_product(found: Any) -> None:
    comparison = found["simulation"]["compared_with_the_product"]
    assert comparison["taken_of_the_model"] == comparison["taken_of_the_product"] == 48
    assert comparison["write_units_of_the_model"] == pytest.approx(comparison["write_units_of_the_product"], rel=0.25)


def test_every_goal_has_a_figure(found: Any) -> None:
    assert len(found["goals"]) == 2 + 1 + 2 * 2 + 1 + 1
    assert all(set(goal) == {"goal", "figure", "met"} for goal in found["goals"])
