"""The harness of races: an engine, processes, a clock that they share, and the report of figures."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any, Final

from infra.local.processes import locked
from infra.paths import ROOT
from tests.conftest import EmulatorAccount, Tables
from tests.races.invariants import VIOLATIONS, violations_in
from tests.races.race_clock import RaceClock

PROCESSES: Final = 2
ROUNDS: Final = int(os.environ.get("LIVEDROP_RACES", "1"))
"""Rounds of each race."""

CONTROL_ROUNDS: Final = 25
"""A control must be caught within this many rounds. It ends when it is caught."""

MANY_ROUNDS: Final = 20
"""After this many rounds every rare event of a race must have occurred."""

CONTROL_VIOLATIONS: Final = frozenset(VIOLATIONS) - {"broken", "early_losses", "false_sold_out", "undersold", "errors"}
"""The violations that catch a control: harm to buyers or the shop, not mere errors."""

_clock: RaceClock | None = None


def _init_process(clock: RaceClock) -> None:
    global _clock  # noqa: PLW0603 - a clock can only be inherited, not sent
    _clock = clock
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"  # tests do not read metrics


def _run(run: Callable[..., Any], race: Any, part: int) -> Any:
    assert _clock is not None
    return run(race, _clock, part, PROCESSES)


@dataclass(frozen=True)
class RaceHarness:
    """The account of an engine, and the processes that race on it."""

    engine: str
    account: EmulatorAccount
    clock: RaceClock
    pool: ProcessPoolExecutor

    @cache  # noqa: B019 - a harness lives as long as the tests
    def tables(self, name: str) -> Tables:
        """Create the tables of that name at first use."""
        return self.account.tables(f"{name}-")

    def run_in_processes(self, run: Callable[..., Any], race: Any, now: int) -> list[Any]:
        """Call ``run`` in every process at once, each with its share of the buyers."""
        self.clock.reset(now)
        parts = [self.pool.submit(_run, run, race, part) for part in range(PROCESSES)]
        return [part.result() for part in parts]


@contextmanager
def racing_processes() -> Iterator[tuple[RaceClock, ProcessPoolExecutor]]:
    """Spawn processes that share nothing with this one but the clock."""
    clock = RaceClock()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), _init_process, (clock,)) as pool:
        yield clock, pool


def run_rounds(run_round: Callable[[int], Counter[str]]) -> Counter[str]:
    """Run the rounds of a race, and add up their figures."""
    return sum_figures(run_round(number) for number in range(ROUNDS)) + Counter(rounds=ROUNDS)


def run_control(run_round: Callable[[int], Counter[str]]) -> Counter[str]:
    """Run the rounds of a control until it is caught, and add up their figures."""
    figures: Counter[str] = Counter()
    while not is_caught(figures) and figures["rounds"] < CONTROL_ROUNDS:
        figures.update(run_round(figures["rounds"]))
        figures["rounds"] += 1
    return figures


def is_caught(control: Mapping[str, int]) -> bool:
    """Whether a control harmed a buyer or the shop."""
    return bool(violations_in(control).keys() & CONTROL_VIOLATIONS)


def report(race: str, engine: str, figures: Mapping[str, int], control: Mapping[str, int]) -> None:
    """Add a race to ``build/races.json``: its figures, its violations (zeros), and those of its control."""
    path = ROOT / "build" / "races.json"
    path.parent.mkdir(exist_ok=True)
    shown = {name: figures[name] for name in sorted(figures) if name not in VIOLATIONS}
    violation_counts = {name: figures.get(name, 0) for name in VIOLATIONS}
    with locked(path.with_suffix(".lock")):
        results = json.loads(path.read_text()) if path.exists() else {}
        results.setdefault(race, {})[engine] = shown | {
            "wrong": violation_counts,
            "control": {"rounds": control["rounds"]} | violations_in(control),
        }
        path.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")


def sum_figures(parts: Iterable[Counter[str]]) -> Counter[str]:
    """Add up figures."""
    added: Counter[str] = Counter()
    for one in parts:
        added.update(one)
    return added
