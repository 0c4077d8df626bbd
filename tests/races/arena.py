"""Where races are run: an engine, processes beside this one, a clock that all share, and a place for the figures."""

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

from infra.local.engine import ROOT
from infra.local.processes import locked
from tests.conftest import EngineAccount, Tables
from tests.races.clock import Clock
from tests.races.judge import WRONGS, wrongs

PROCESSES: Final = 2
ROUNDS: Final = int(os.environ.get("LIVEDROP_RACES", "1"))
"""Rounds of each race."""

CONTROL_ROUNDS: Final = 25
"""Rounds in which a control has to be caught; it ends when it is."""

MANY: Final = 20
"""Rounds after which everything that can happen in a race has happened."""

UNMISTAKABLE: Final = frozenset(WRONGS) - {"broken", "early_losses", "wrong_sold_out", "undersold", "errors"}
"""What a control must be caught by: wrongs to buyers and shop, not mere errors."""

_clock: Clock | None = None


def _begin(clock: Clock) -> None:
    global _clock  # noqa: PLW0603 - a clock can only be inherited, not sent
    _clock = clock
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"  # nobody reads them here


def _run(run: Callable[..., Any], race: Any, part: int) -> Any:
    assert _clock is not None
    return run(race, _clock, part, PROCESSES)


@dataclass(frozen=True)
class Arena:
    """An engine's account, and the processes that race on it."""

    engine: str
    account: EngineAccount
    clock: Clock
    pool: ProcessPoolExecutor

    @cache  # noqa: B019 - an arena lives as long as the tests
    def tables(self, name: str) -> Tables:
        """Tables of that name, made at first use."""
        return self.account.tables(f"{name}-")

    def race(self, run: Callable[..., Any], race: Any, now: int) -> list[Any]:
        """``run`` in every process at once, each with its share of the buyers."""
        self.clock.begin(now)
        parts = [self.pool.submit(_run, run, race, part) for part in range(PROCESSES)]
        return [part.result() for part in parts]


@contextmanager
def processes() -> Iterator[tuple[Clock, ProcessPoolExecutor]]:
    """Processes of their own, begun afresh: they share nothing with this one but the clock."""
    clock = Clock()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), _begin, (clock,)) as pool:
        yield clock, pool


def rounds(play: Callable[[int], Counter[str]]) -> Counter[str]:
    """A race's rounds, added up."""
    return total(play(number) for number in range(ROUNDS)) + Counter(rounds=ROUNDS)


def until_caught(play: Callable[[int], Counter[str]]) -> Counter[str]:
    """A control's rounds, added up, until it is caught."""
    figures: Counter[str] = Counter()
    while not caught(figures) and figures["rounds"] < CONTROL_ROUNDS:
        figures.update(play(figures["rounds"]))
        figures["rounds"] += 1
    return figures


def caught(control: Mapping[str, int]) -> bool:
    """Whether a control did what no buyer and no shop may meet."""
    return bool(wrongs(control).keys() & UNMISTAKABLE)


def report(race: str, engine: str, figures: Mapping[str, int], control: Mapping[str, int]) -> None:
    """Add a race's figures to ``build/races.json``: what it did, what was wrong (zeros), and its control's wrongs."""
    path = ROOT / "build" / "races.json"
    path.parent.mkdir(exist_ok=True)
    shown = {name: figures[name] for name in sorted(figures) if name not in WRONGS}
    wrong = {name: figures.get(name, 0) for name in WRONGS}
    with locked(path.with_suffix(".lock")):
        all_of_them = json.loads(path.read_text()) if path.exists() else {}
        all_of_them.setdefault(race, {})[engine] = shown | {
            "wrong": wrong,
            "control": {"rounds": control["rounds"]} | wrongs(control),
        }
        path.write_text(json.dumps(all_of_them, indent=2, sort_keys=True) + "\n")


def total(parts: Iterable[Counter[str]]) -> Counter[str]:
    """Figures added up."""
    added: Counter[str] = Counter()
    for one in parts:
        added.update(one)
    return added
