"""The simulation's model, in cases whose outcome is known beforehand."""

from __future__ import annotations

from dataclasses import replace

from infra.bench.scenarios import Scenario, Times
from infra.bench.simulation import simulate

PLENTY = Scenario("plenty", partitions=1_000, containers=50, units=2_400, buyers=240, seconds=1)


def test_take_is_one_write_for_each_buyer_while_units_are_plenty() -> None:
    seen = simulate(PLENTY, Times())
    assert (seen["taken"], seen["writes_of_buyers"], seen["of_these_refused"], seen["throttled_calls"]) == (
        240,
        240,
        0,
        0,
    )
    assert seen["success_by_tenth_of_arrival"] == [1.0] * 10


def test_partition_takes_a_thousand_writes_a_second_and_saves_one_second() -> None:
    scenario = replace(PLENTY, partitions=1, containers=10_000, units=4_800, buyers=4_800)
    seen = simulate(scenario, Times())
    assert seen["throttled_calls"] > 0
    for share, seconds in seen["seconds_until_taken"].items():
        assert seconds is None or seconds >= {"half": 1.4, "99 %": 3.7, "all": 3.8}[share]


def test_scenario_is_repeatable_for_a_seed_and_differs_for_another() -> None:
    scenario = replace(PLENTY, buyers=2_400, tries=3)
    assert simulate(scenario, Times()) == simulate(scenario, Times())
    assert simulate(scenario, Times(), seed=5) != simulate(scenario, Times())


def test_container_that_remembers_empty_buckets_writes_less() -> None:
    few = Scenario("few", partitions=1_000, containers=20, units=480, buyers=24_000, tries=1)
    forgetful, mindful = (simulate(replace(few, remembers_empty=remembers), Times()) for remembers in (False, True))
    assert forgetful["taken"] == mindful["taken"] == 480
    assert mindful["of_these_refused"] < forgetful["of_these_refused"] / 2
