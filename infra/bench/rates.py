"""Compare the takes per second of several strategies in short rounds in turn, so that other load affects all alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import psutil

from chalicelib.aws import client
from infra.bench.environment import BenchEnvironment, RunningEmulator
from infra.bench.load_generator import LoadGenerator, LoadResult, load_generator
from infra.bench.strategies import STRATEGIES, prepare_stock
from infra.bench.stream_consumer import stream_consumer

BASELINE: Final = "counter"
_MAX_RACE_SECONDS: Final = 40


@dataclass(frozen=True, slots=True)
class RateScenario:
    """``at_a_time`` concurrent buyers who want ``times`` the ``units`` of a drop; ``rounds`` for each strategy."""

    at_a_time: int
    times: int
    units: int
    rounds: int


@dataclass(slots=True)
class _StrategyRates:
    """The results of one strategy, round by round."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    emulator_seconds: float = 0.0

    def add(self, result: LoadResult, emulator_seconds: float) -> None:
        self.rates.append(len(result.taken) / result.seconds)
        self.took += result.taken
        self.refused += result.refused
        self.cpu_seconds += result.cpu_seconds
        self.emulator_seconds += emulator_seconds

    def to_record(self, baseline: _StrategyRates, large: _StrategyRates) -> dict[str, Any]:
        ratios = self._ratios_to(baseline)
        return {
            "takes_a_second": round(median(self.rates), 1),
            "of_the_counter": round(median(ratios), 3),
            "of_the_counter_by_round": [round(ratio, 3) for ratio in ratios],
            "of_the_large_counter": round(median(self._ratios_to(large)), 3),
            "taken": len(self.took),
            "refused": len(self.refused),
            "take_ms": _percentiles_ms(self.took),
            "refusal_ms": _percentiles_ms(self.refused),
            "buyers_cpu_ms_a_take": round(self.cpu_seconds / len(self.took) * 1e3, 3),
            "emulator_cpu_ms_a_take": round(self.emulator_seconds / len(self.took) * 1e3, 3),
        }

    def _ratios_to(self, other: _StrategyRates) -> list[float]:
        return [mine / its for mine, its in zip(self.rates, other.rates, strict=True)]


def measure_rates(emulator: RunningEmulator, races: Sequence[RateScenario]) -> list[dict[str, Any]]:
    """Measure each scenario's strategies, as shares of the bare counter's rate in the same round.

    A scenario that exceeds its time ends after the current round. The result has the number of rounds.
    """
    found = []
    for at_a_time in dict.fromkeys(one.at_a_time for one in races):
        with load_generator(emulator, at_a_time) as load:
            found += [_run(emulator, load, one) for one in races if one.at_a_time == at_a_time]
    return found


def _run(running: RunningEmulator, load: LoadGenerator, one: RateScenario) -> dict[str, Any]:
    bench_env, emulator = BenchEnvironment.of(client("dynamodb")), psutil.Process(running.emulator.pid)
    by_strategy, order = {strategy: _StrategyRates() for strategy in STRATEGIES}, list(STRATEGIES)
    deadline = time.monotonic() + _MAX_RACE_SECONDS
    for number in range(one.rounds):
        if number and time.monotonic() > deadline:
            break
        order = order[1:] + order[:1]
        for strategy in order:
            drop = f"race-{one.at_a_time}-{one.times}-{number}-{strategy.replace(' ', '')}".replace("+", "-")
            prepare_stock(bench_env, strategy, drop, one.units)
            with stream_consumer(bench_env) if strategy == "take" else nullcontext():
                before = _cpu(emulator)
                result = load.run(strategy, (drop,), one.units * one.times)
                by_strategy[strategy].add(result, _cpu(emulator) - before)
    return {
        "buyers_at_a_time": one.at_a_time,
        "demand": one.times,
        "units": one.units,
        "rounds": len(by_strategy[BASELINE].rates),
        "strategies": {
            strategy: rates.to_record(by_strategy[BASELINE], by_strategy["large counter"])
            for strategy, rates in by_strategy.items()
        },
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _percentiles_ms(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {f"p{share}": round(ordered[len(ordered) * share // 100] * 1e3, 3) for share in (50, 99)}
