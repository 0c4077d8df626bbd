"""Takes per second of three ways, side by side: short rounds in turn, so that whatever else runs hits all alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import psutil

from chalicelib.aws import client
from infra.bench.crowd import LoadGenerator, LoadResult, load_generator
from infra.bench.follow import stream_consumer
from infra.bench.ground import BenchEnvironment, RunningEmulator
from infra.bench.ways import STRATEGIES, prepare_stock

BARE: Final = "counter"
_MAX_RACE_SECONDS: Final = 40


@dataclass(frozen=True, slots=True)
class Race:
    """So many buyers at a time want ``times`` the ``units`` there are; each way plays ``rounds`` of it."""

    at_a_time: int
    times: int
    units: int
    rounds: int


@dataclass(slots=True)
class _Lane:
    """What a way came to, round by round."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    engine_seconds: float = 0.0

    def add(self, played: LoadResult, engine_seconds: float) -> None:
        self.rates.append(len(played.taken) / played.seconds)
        self.took += played.taken
        self.refused += played.refused
        self.cpu_seconds += played.cpu_seconds
        self.engine_seconds += engine_seconds

    def record(self, bare: _Lane, large: _Lane) -> dict[str, Any]:
        ratios = self._of(bare)
        return {
            "takes_a_second": round(median(self.rates), 1),
            "of_the_counter": round(median(ratios), 3),
            "of_the_counter_by_round": [round(ratio, 3) for ratio in ratios],
            "of_the_large_counter": round(median(self._of(large)), 3),
            "taken": len(self.took),
            "refused": len(self.refused),
            "take_ms": _percentiles_ms(self.took),
            "refusal_ms": _percentiles_ms(self.refused),
            "buyers_cpu_ms_a_take": round(self.cpu_seconds / len(self.took) * 1e3, 3),
            "engine_cpu_ms_a_take": round(self.engine_seconds / len(self.took) * 1e3, 3),
        }

    def _of(self, other: _Lane) -> list[float]:
        return [mine / its for mine, its in zip(self.rates, other.rates, strict=True)]


def race(site: RunningEmulator, races: Sequence[Race]) -> list[dict[str, Any]]:
    """Each race's ways with their rates, as shares of the bare counter's in the same round.

    A race that takes longer than it may ends after a round; how many it had is said.
    """
    found = []
    for at_a_time in dict.fromkeys(one.at_a_time for one in races):
        with load_generator(site, at_a_time) as buyers:
            found += [_run(site, buyers, one) for one in races if one.at_a_time == at_a_time]
    return found


def _run(site: RunningEmulator, buyers: LoadGenerator, one: Race) -> dict[str, Any]:
    here, engine = BenchEnvironment.of(client("dynamodb")), psutil.Process(site.engine.pid)
    lanes, order = {way: _Lane() for way in STRATEGIES}, list(STRATEGIES)
    give_up_at = time.monotonic() + _MAX_RACE_SECONDS
    for number in range(one.rounds):
        if number and time.monotonic() > give_up_at:
            break
        order = order[1:] + order[:1]
        for way in order:
            drop = f"race-{one.at_a_time}-{one.times}-{number}-{way.replace(' ', '')}".replace("+", "-")
            prepare_stock(here, way, drop, one.units)
            with stream_consumer(here) if way == "take" else nullcontext():
                before = _cpu(engine)
                played = buyers.run(way, (drop,), one.units * one.times)
                lanes[way].add(played, _cpu(engine) - before)
    return {
        "buyers_at_a_time": one.at_a_time,
        "demand": one.times,
        "units": one.units,
        "rounds": len(lanes[BARE].rates),
        "strategies": {way: lane.record(lanes[BARE], lanes["large counter"]) for way, lane in lanes.items()},
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _percentiles_ms(seconds: Sequence[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {f"p{share}": round(ordered[len(ordered) * share // 100] * 1e3, 3) for share in (50, 99)}
