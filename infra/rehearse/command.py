"""``livedrop rehearse``: read the orders, play them, check what came of it, report."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from infra.local.home import LocalState, NotRunning
from infra.rehearse import report
from infra.rehearse.check import check
from infra.rehearse.demand import Demand, demand
from infra.rehearse.drive import RehearsalRun, drive
from infra.rehearse.exported import LEDGER_TIMEOUT_SECONDS
from infra.rehearse.facts import StackInfo
from infra.rehearse.orders import BadOrdersFile, load
from infra.rehearse.plan import Plan, plan
from infra.rehearse.progress import Progress

SAMPLE: Final = Path(__file__).parent.parent / "sample" / "2011-11-25-first-hours.csv"
RIGHT, WRONG, UNUSABLE = 0, 1, 2
"""Exit codes: all as it should be; differences found; no orders to play or no stack to play them on."""
_DRIVEN: Final = "rehearsal-driven.json"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is played, where, and where its report goes."""

    demand: Demand
    plan: Plan
    facts: StackInfo
    build: Path

    @classmethod
    def of(cls, orders: Path | None, home: LocalState, build: Path, show_id: str) -> Rehearsal:
        """:class:`BadOrdersFile` or :class:`NotRunning` when it cannot take place."""
        wanted = playable(orders or SAMPLE)
        return cls(wanted, plan(wanted, show_id), StackInfo.read(home), build)

    def play(self, console: Console) -> RehearsalRun:
        """Drive the stack. What was done also stands in the build folder, should the check be made apart."""
        with Progress(console) as progress:
            driven = asyncio.run(drive(self.plan, self.facts, progress))
        self.build.mkdir(parents=True, exist_ok=True)
        (self.build / _DRIVEN).write_text(json.dumps(driven.record()) + "\n")
        return driven

    def verify(
        self, driven: RehearsalRun, console: Console, *, ledger_timeout_seconds: float = LEDGER_TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """Check from outside, write and print the report; returns it. The books may lag behind by their patience."""
        with Progress(console) as progress:
            checking = check(self.plan, driven, self.facts, progress, ledger_timeout_seconds=ledger_timeout_seconds)
            findings = asyncio.run(checking)
        result = report.build_report(self.demand, self.plan, driven, findings)
        report.show(result, console)
        console.print(f"report: {report.write(result, self.build)}")
        return result


def rehearse(
    orders: Path | None,
    home: LocalState,
    build: Path,
    *,
    start_stack: Callable[[], None] | None = None,
    show_id: str | None = None,
    console: Console | None = None,
) -> int:
    """Rehearse a file of orders (None: the sample) with the stack that runs in ``home``; returns the exit code.

    ``start_stack`` is called when none runs there; a bad file is told before anything is started.
    """
    console = console or Console()
    try:
        playable(orders or SAMPLE)
        if start_stack is not None and not home.stack_info():
            start_stack()
        rehearsal = Rehearsal.of(orders, home, build, show_id or new_show_id())
    except (BadOrdersFile, NotRunning) as reason:
        console.print(f"cannot rehearse: {reason}", style="red", markup=False, highlight=False)
        return UNUSABLE
    driven = rehearsal.play(console)
    return RIGHT if rehearsal.verify(driven, console)["ok"] else WRONG


def playable(orders: Path) -> Demand:
    """The demand in a file. :class:`BadOrdersFile` when there is none to play."""
    wanted = demand(load(orders))
    if not wanted.invoices:
        raise BadOrdersFile(f"{orders}: no row can be played ({len(wanted.refused)} refused of {wanted.read} read)")
    return wanted


def new_show_id() -> str:
    """A show id that was never used."""
    return f"rehearsal-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
