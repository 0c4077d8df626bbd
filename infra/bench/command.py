"""``livedrop bench``: measure, count, simulate, report."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any, Final

import botocore
from rich.console import Console

from infra.bench import report
from infra.bench.cost import Demand, measure_costs
from infra.bench.cpu import measure_take_cpu
from infra.bench.environment import RunningEmulator, running_emulator
from infra.bench.large import LargeDrop, measure_large_drop
from infra.bench.rates import RateScenario, measure_rates
from infra.bench.scenarios import ASSUMPTIONS, SCENARIOS, Scenario, Times
from infra.bench.simulation import simulate
from infra.local.emulator import REQUIREMENTS

_SEEDS: Final = 20
"""Runs of the model when it is compared with the product, because the writes of one small drop vary by chance."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The scenarios to measure."""

    races: tuple[RateScenario, ...]
    cpu_takes: int
    demands: tuple[Demand, ...]
    large: LargeDrop
    scenarios: tuple[Scenario, ...]


FULL: Final = Extent(
    races=tuple(
        RateScenario(at_a_time, times, units, rounds)
        for at_a_time in (1, 8, 32, 128)
        for times, units, rounds in ((1, 960, 5), (10, 480, 3))
    ),
    cpu_takes=4_800,
    demands=tuple(Demand(480, times, containers=8) for times in (1, 3, 10, 100)),
    large=LargeDrop(100_000, rounds=7),
    scenarios=SCENARIOS,
)
SHORT: Final = Extent(
    races=(RateScenario(8, 1, 96, 1), RateScenario(8, 10, 24, 1)),
    cpu_takes=80,
    demands=(Demand(48, 1, containers=2), Demand(48, 10, containers=2)),
    large=LargeDrop(2_400, rounds=1, small_drops=1),
    scenarios=(Scenario("a thousandth", partitions=1, containers=10, units=48, buyers=1_000, seconds=1),),
)


def bench(build: Path, *, short: bool) -> dict[str, Any]:
    """Measure, print the report, write ``bench.json``, and return its content."""
    extent = SHORT if short else FULL
    with _stdout_silenced() as console:
        found: dict[str, Any] = {"about": _about(short)}
        with running_emulator() as emulator:
            for name, part in _parts(emulator, extent).items():
                began = time.monotonic()
                found[name] = part()
                console.print(f"{name}: {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        found["simulation"] = _simulation(extent, found)
        console.print(f"simulation: {time.monotonic() - began:.0f} s")
        found["goals"] = report.goals(found)
        report.show(found, console)
        console.print(f"details: {report.write(found, build)}")
    return found


def _parts(emulator: RunningEmulator, extent: Extent) -> dict[str, Callable[[], Any]]:
    return {
        "rates": lambda: measure_rates(emulator, extent.races),
        "cpu": lambda: measure_take_cpu(extent.cpu_takes),
        "cost": lambda: measure_costs(extent.demands),
        "large": lambda: measure_large_drop(emulator, extent.large),
    }


def _simulation(extent: Extent, found: dict[str, Any]) -> dict[str, Any]:
    """Simulate the scenarios with the times of this run, and compare the model's bill with the product's counted one.

    The comparison is the same in every run: it uses assumed times, and counts that do not depend on time.
    """
    times = Times(
        call_cpu=found["cpu"]["take_cpu_ms"] / 1e3,
        sum_up_a_bucket=found["large"]["summary_whole"]["seconds"] / found["large"]["buckets"],
    )
    counted = next(one for one in found["cost"]["demands"] if one["demand"] == 10)
    as_counted = Scenario(
        "as counted", partitions=1_000, containers=8, units=counted["units"], buyers=counted["buyers"], tries=1
    )
    modelled = [simulate(as_counted, Times(), seed) for seed in range(_SEEDS)]
    return {
        "assumptions": ASSUMPTIONS,
        "times_seconds": asdict(times),
        "compared_with_the_product": {
            "demand": counted["demand"],
            "write_units_of_the_product": counted["write_units"],
            "write_units_of_the_model": mean(one["writes_of_buyers"] for one in modelled),
            "taken_of_the_product": counted["taken"],
            "taken_of_the_model": mean(one["taken"] for one in modelled),
        },
        "scenarios": [simulate(scenario, times) for scenario in extent.scenarios],
    }


def _about(short: bool) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "short": short,
        "emulator": next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("ministack")),
        "python": platform.python_version(),
        "botocore": botocore.__version__,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }


@contextmanager
def _stdout_silenced() -> Iterator[Console]:
    """Open a console for the report, and discard the metrics that the product prints for CloudWatch."""
    sys.stdout.flush()
    saved = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    try:
        with os.fdopen(os.dup(saved), "w", buffering=1) as out:
            yield Console(file=out, highlight=False, width=120)
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
