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

from infra.local.local_state import LocalState, NotRunning
from infra.rehearse import report
from infra.rehearse.check import check
from infra.rehearse.demand import Demand, demand
from infra.rehearse.drive import RehearsalRun, drive
from infra.rehearse.exported import LEDGER_TIMEOUT_SECONDS
from infra.rehearse.orders import BadOrdersFile, load
from infra.rehearse.plan import Plan, plan
from infra.rehearse.progress import Progress
from infra.rehearse.stack_info import StackInfo

SAMPLE: Final = Path(__file__).parent.parent / "sample" / "2011-11-25-first-hours.csv"
EXIT_OK, EXIT_DIFFERENCES, EXIT_CANNOT_RUN = 0, 1, 2
"""Exit codes: all as it should be; differences found; no orders to play or no stack to play them on."""
_RUN_FILE: Final = "rehearsal-run.json"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is played, where, and where its report goes."""

    demand: Demand
    plan: Plan
    stack_info: StackInfo
    build: Path

    @classmethod
    def of(cls, orders: Path | None, local_state: LocalState, build: Path, show_id: str) -> Rehearsal:
        """:class:`BadOrdersFile` or :class:`NotRunning` when it cannot take place."""
        wanted = load_demand(orders or SAMPLE)
        return cls(wanted, plan(wanted, show_id), StackInfo.read(local_state), build)

    def run(self, console: Console) -> RehearsalRun:
        """Drive the stack. What was done also stands in the build folder, should the check be made apart."""
        with Progress(console) as progress:
            run = asyncio.run(drive(self.plan, self.stack_info, progress))
        self.build.mkdir(parents=True, exist_ok=True)
        (self.build / _RUN_FILE).write_text(json.dumps(run.to_record()) + "\n")
        return run

    def verify(
        self, run: RehearsalRun, console: Console, *, ledger_timeout_seconds: float = LEDGER_TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """Check from outside, write and print the report; returns it. The books may lag behind by their patience."""
        with Progress(console) as progress:
            checking = check(self.plan, run, self.stack_info, progress, ledger_timeout_seconds=ledger_timeout_seconds)
            findings = asyncio.run(checking)
        result = report.build_report(self.demand, self.plan, run, findings)
        report.show(result, console)
        console.print(f"report: {report.write(result, self.build)}")
        return result


def rehearse(
    orders: Path | None,
    local_state: LocalState,
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
        load_demand(orders or SAMPLE)
        if start_stack is not None and not local_state.stack_info():
            start_stack()
        rehearsal = Rehearsal.of(orders, local_state, build, show_id or new_show_id())
    except (BadOrdersFile, NotRunning) as reason:
        console.print(f"cannot rehearse: {reason}", style="red", markup=False, highlight=False)
        return EXIT_CANNOT_RUN
    run = rehearsal.run(console)
    return EXIT_OK if rehearsal.verify(run, console)["ok"] else EXIT_DIFFERENCES


def load_demand(orders: Path) -> Demand:
    """The demand in a file. :class:`BadOrdersFile` when there is none to play."""
    wanted = demand(load(orders))
    if not wanted.invoices:
        raise BadOrdersFile(f"{orders}: no row can be played ({len(wanted.refused)} refused of {wanted.read} read)")
    return wanted


def new_show_id() -> str:
    """A show id that was never used."""
    return f"rehearsal-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
