"""``livedrop bench``: measure, count, simulate, report."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import botocore
from rich.console import Console

from infra.bench import report
from infra.bench.cost import Demand, counted
from infra.bench.cpu import own_cpu
from infra.bench.ground import Site, site
from infra.bench.large import Large, large
from infra.bench.rates import Race, race
from infra.local.engine import REQUIREMENTS


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    races: tuple[Race, ...]
    cpu_takes: int
    demands: tuple[Demand, ...]
    large: Large


FULL: Final = Extent(
    races=tuple(
        Race(at_a_time, times, units, rounds)
        for at_a_time in (1, 8, 32, 128)
        for times, units, rounds in ((1, 960, 5), (10, 480, 3))
    ),
    cpu_takes=4_800,
    demands=tuple(Demand(480, times, containers=8) for times in (1, 3, 10, 100)),
    large=Large(100_000, rounds=7),
)
SHORT: Final = Extent(
    races=(Race(8, 1, 96, 1), Race(8, 10, 24, 1)),
    cpu_takes=80,
    demands=(Demand(48, 1, containers=2), Demand(48, 10, containers=2)),
    large=Large(2_400, rounds=1, small_drops=1),
)


def bench(build: Path, *, short: bool) -> dict[str, Any]:
    """Measure, print, write ``bench.json``; returns what it says."""
    extent = SHORT if short else FULL
    with _metrics_elsewhere() as console:
        found: dict[str, Any] = {"about": _about(short)}
        with site() as here:
            for name, part in _parts(here, extent).items():
                began = time.monotonic()
                found[name] = part()
                console.print(f"{name}: {time.monotonic() - began:.0f} s")
        found["goals"] = report.goals(found)
        report.show(found, console)
        console.print(f"all of it: {report.write(found, build)}")
    return found


def _parts(here: Site, extent: Extent) -> dict[str, Callable[[], Any]]:
    return {
        "rates": lambda: race(here, extent.races),
        "cpu": lambda: own_cpu(extent.cpu_takes),
        "cost": lambda: counted(extent.demands),
        "large": lambda: large(here, extent.large),
    }


def _about(short: bool) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "short": short,
        "engine": next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("ministack")),
        "python": platform.python_version(),
        "botocore": botocore.__version__,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }


@contextmanager
def _metrics_elsewhere() -> Iterator[Console]:
    """A console for the report, while what the product prints for CloudWatch goes nowhere."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    try:
        with os.fdopen(os.dup(kept), "w") as out:
            yield Console(file=out, highlight=False)
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
