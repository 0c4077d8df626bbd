"""``livedrop rehearse``: read the orders, drive them through the stack, check the result, report."""

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
from infra.paths import ROOT
from infra.rehearse import report
from infra.rehearse.check import check
from infra.rehearse.demand import Demand, demand
from infra.rehearse.drive import RehearsalRun, drive
from infra.rehearse.exported import LEDGER_TIMEOUT_SECONDS
from infra.rehearse.orders import BadOrdersFile, load
from infra.rehearse.plan import Plan, plan
from infra.rehearse.progress import Progress
from infra.rehearse.stack_info import StackInfo

SAMPLE: Final = ROOT / "infra" / "sample" / "2011-11-25-first-hours.csv"
EXIT_OK, EXIT_DIFFERENCES, EXIT_CANNOT_RUN = 0, 1, 2
"""Exit codes: success; differences; no orders or no stack to rehearse with."""
_RUN_FILE: Final = "rehearsal-run.json"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The demand and its plan, the stack, and the folder for the report."""

    demand: Demand
    plan: Plan
    stack_info: StackInfo
    build: Path

    @classmethod
    def of(cls, orders: Path | None, local_state: LocalState, build: Path, show_id: str) -> Rehearsal:
        """Plan a file of orders for the running stack. Raises: BadOrdersFile, NotRunning."""
        wanted = load_demand(orders or SAMPLE)
        return cls(wanted, plan(wanted, show_id), StackInfo.read(local_state), build)

    def run(self, console: Console) -> RehearsalRun:
        """Drive the stack. Also writes the run into the build folder, so that the check can be repeated later."""
        with Progress(console) as progress:
            run = asyncio.run(drive(self.plan, self.stack_info, progress))
        self.build.mkdir(parents=True, exist_ok=True)
        (self.build / _RUN_FILE).write_text(json.dumps(run.to_record()) + "\n")
        return run

    def verify(
        self, run: RehearsalRun, console: Console, *, ledger_timeout_seconds: float = LEDGER_TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """Check from outside, write and print the report, and return it.

        The ledger may lag behind the orders by ``ledger_timeout_seconds``.
        """
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
    """Rehearse a file of orders, or the sample, with the stack of ``local_state``. Returns the exit code.

    Calls ``start_stack`` when no stack runs there, but reports a bad file before it starts anything.
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
    """Read the demand from a file. Raises: BadOrdersFile, also when every row is refused."""
    wanted = demand(load(orders))
    if not wanted.invoices:
        raise BadOrdersFile(f"{orders}: no row can be used ({len(wanted.refused)} refused of {wanted.read} read)")
    return wanted


def new_show_id() -> str:
    """Make a new show id."""
    return f"rehearsal-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
