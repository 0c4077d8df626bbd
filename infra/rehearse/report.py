"""Report a rehearsal: tables for a person, ``build/rehearsal.json`` for a program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from infra.rehearse.check import Findings
from infra.rehearse.demand import Demand
from infra.rehearse.drive import RehearsalRun
from infra.rehearse.measures import percentiles
from infra.rehearse.plan import CURRENCY, Plan

REPORT: Final = "rehearsal.json"
_CUE_TRANSPORTS: Final = ("kinesis", "http")
_MAX_SHOWN_DIFFERENCES: Final = 20


def build_report(demand: Demand, plan: Plan, run: RehearsalRun, findings: Findings) -> dict[str, Any]:
    """Build the report as JSON stores it. Amounts are in minor units, latencies in milliseconds."""
    steps = run.measures.by_step()
    differences = [*findings.differences, *_input_differences(demand, findings)]
    return {
        "show": plan.show_id,
        "read": demand.read,
        "accepted": demand.accepted,
        "refused": [{"row": one.row, "reason": one.reason} for one in demand.refused],
        "drops": len(plan.drops),
        "orders": findings.orders,
        "units_sold": findings.units_sold,
        "goods_amount": demand.goods_amount,
        "goods_amount_ordered": findings.goods_amount_ordered,
        "goods_amount_exported": findings.goods_amount_exported,
        "currency": CURRENCY,
        "refunds": findings.refunds,
        "refund_amount_exported": findings.refund_amount_exported,
        "exports": findings.exports,
        "differences": len(differences),
        "difference_details": differences,
        "oversold": findings.oversold,
        "stranded": findings.stranded,
        "latency": {step: values for step, values in steps.items() if not step.startswith("cue to")},
        "cue_to_first_hold": {
            transport: percentiles(run.measures.seconds.get(f"cue to first hold, {transport}", []))
            for transport in _CUE_TRANSPORTS
        },
        "counts": dict(sorted(run.measures.counts.items())),
        "seconds": run.seconds,
        "ok": not differences and findings.oversold == 0 and findings.stranded == 0,
    }


def _input_differences(demand: Demand, findings: Findings) -> list[str]:
    """Compare the grand totals with the input, in case no single order or drop shows a difference."""
    found = []
    if findings.units_sold != demand.units:
        found.append(f"stock: {findings.units_sold} units sold in all, {demand.units} were wanted")
    for where, amount in (
        ("orders", findings.goods_amount_ordered),
        ("export", findings.goods_amount_exported),
    ):
        if amount != demand.goods_amount:
            found.append(f"{where}: items for {amount} in all, {demand.goods_amount} by the input")
    if demand.accepted + len(demand.refused) != demand.read:
        found.append(f"input: {demand.accepted} accepted and {len(demand.refused)} refused of {demand.read} read")
    return found


def write(report: dict[str, Any], build: Path) -> Path:
    """Write ``rehearsal.json``. Returns its path."""
    build.mkdir(parents=True, exist_ok=True)
    target = build / REPORT
    target.write_text(json.dumps(report, indent=2) + "\n")
    return target


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report."""
    console.print()
    console.rule(f"Rehearsal {report['show']}")
    for title, rows in (
        ("Input", [(name, report[name]) for name in ("read", "accepted")] + [("refused", len(report["refused"]))]),
        (
            "Show",
            [(name, report[name]) for name in ("drops", "orders", "units_sold", "refunds", "oversold", "stranded")],
        ),
        (
            "Money",
            [
                ("items by input", _money(report["goods_amount"])),
                ("items by orders", _money(report["goods_amount_ordered"])),
                ("items by export", _money(report["goods_amount_exported"])),
                ("refunds by export", _money(report["refund_amount_exported"])),
            ],
        ),
    ):
        table = Table("", "", title=title, title_justify="left", show_header=False, min_width=40)
        for name, value in rows:
            table.add_row(name, str(value))
        console.print(table)
    console.print(_latencies("Latency by step, ms", report["latency"]))
    console.print(_latencies("Cue to first hold, ms", report["cue_to_first_hold"]))
    console.print("events:", ", ".join(f"{name} ×{times}" for name, times in report["counts"].items()) or "nothing")
    console.print("seconds:", ", ".join(f"{name} {seconds}" for name, seconds in report["seconds"].items()))
    _verdict(report, console)


def _latencies(title: str, steps: dict[str, dict[str, Any]]) -> Table:
    table = Table("step", title=title, title_justify="left")
    columns = ("count", "p50_ms", "p95_ms", "p99_ms", "max_ms")
    for column in columns:
        table.add_column(column.removesuffix("_ms"), justify="right")
    for step, values in steps.items():
        table.add_row(step, *(str(values.get(column, "")) for column in columns))
    return table


def _verdict(report: dict[str, Any], console: Console) -> None:
    for sentence in report["difference_details"][:_MAX_SHOWN_DIFFERENCES]:
        console.print(f"[red]difference[/red] {sentence}", markup=True, highlight=False)
    if report["differences"] > _MAX_SHOWN_DIFFERENCES:
        console.print(f"… and {report['differences'] - _MAX_SHOWN_DIFFERENCES} more in {REPORT}")
    verdict = "[bold green]right[/bold green]" if report["ok"] else "[bold red]wrong[/bold red]"
    console.print(f"differences {report['differences']}: the rehearsal ended {verdict}")


def _money(amount: int) -> str:
    return f"{CURRENCY} {amount // 100:,}.{amount % 100:02d}"
