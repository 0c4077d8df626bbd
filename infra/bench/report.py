"""Report a benchmark: tables for a person, ``build/bench.json`` for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

REPORT: Final = "bench.json"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its bound: a minimum with ``at_least``, else a maximum."""

    name: str
    figure: float
    bound: float
    at_least: bool = False

    @property
    def is_reached(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    def to_record(self) -> dict[str, Any]:
        sign = ">=" if self.at_least else "<="
        return {"goal": f"{self.name} {sign} {self.bound}", "figure": self.figure, "met": self.is_reached}


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the goals for the measured parts, each with its figure."""
    return [goal.to_record() for goal in _goals(found)]


def _goals(found: Mapping[str, Any]) -> Iterator[Goal]:
    for one in found.get("rates", []):
        least = 0.9 if one["demand"] == 1 else 3
        name = f"takes/s, {one['buyers_at_a_time']} at a time, {one['demand']}x, of the bare counter's"
        yield Goal(name, one["strategies"]["take"]["of_the_counter"], least, at_least=True)
    if "cpu" in found:
        yield Goal("CPU a take, of the bare call's", found["cpu"]["ratio"], 1.15)
    for one in found.get("cost", {}).get("demands", []):
        yield Goal(f"write units a take, {one['demand']}x", one["writes_a_take"], 1.2)
        if one["demand"] == 10:
            yield Goal("write units a refused buyer, 10x", one["writes_a_refused_buyer"], 0.02)
        yield Goal(f"writes of buyers after sold out, {one['demand']}x", one["writes_after_sold_out"], 0)
    if "large" in found:
        yield Goal("takes/s of the large drop, of small ones'", found["large"]["of_small"], 0.9, at_least=True)


def write(found: Mapping[str, Any], build: Path) -> Path:
    """Write ``bench.json``. Returns its path."""
    build.mkdir(parents=True, exist_ok=True)
    target = build / REPORT
    target.write_text(json.dumps(found, indent=1) + "\n")
    return target


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print the report."""
    console.rule("Stock: speed and cost")
    if "rates" in found:
        console.print(_rates(found["rates"]))
    if "cost" in found:
        console.print(_costs(found["cost"]["demands"]))
        console.print(f"  {found['cost']['how']}")
    for name in ("cpu", "large"):
        if name in found:
            console.print(_figures(name, found[name]))
    if "simulation" in found:
        _print_simulation(found["simulation"], console)
    table = Table("goal", "figure", "", title="Goals", title_justify="left")
    for goal in found["goals"]:
        table.add_row(goal["goal"], str(goal["figure"]), "met" if goal["met"] else "[bold red]missed[/bold red]")
    console.print(table)


def _rates(races: list[dict[str, Any]]) -> Table:
    title = "Takes: one unit each, in rounds in turn on one emulator (ms: of successful takes)"
    columns = (
        "at a time",
        "demand",
        "strategy",
        "takes/s",
        "of counter",
        "of large",
        "p50 ms",
        "p99 ms",
        "CPU ms",
        "emulator ms",
    )
    table = Table(*columns, title=title, title_justify="left")
    for race in races:
        for strategy, one in race["strategies"].items():
            table.add_row(
                str(race["buyers_at_a_time"]),
                f"{race['demand']}x",
                strategy,
                f"{one['takes_a_second']:,.0f}",
                f"{one['of_the_counter']:.2f}",
                f"{one['of_the_large_counter']:.2f}",
                f"{one['take_ms']['p50']:.1f}",
                f"{one['take_ms']['p99']:.1f}",
                f"{one['buyers_cpu_ms_a_take']:.2f}",
                f"{one['emulator_cpu_ms_a_take']:.2f}",
            )
        table.add_section()
    return table


def _costs(demands: list[dict[str, Any]]) -> Table:
    columns = (
        "demand",
        "taken",
        "refused",
        "a take",
        "a refused buyer",
        "a unit taken",
        "calls a take",
        "summary, by stream",
    )
    table = Table(*columns, title="Write units", title_justify="left")
    for one in demands:
        table.add_row(
            f"{one['demand']}x",
            f"{one['taken']:,}",
            f"{one['refused']:,}",
            f"{one['writes_a_take']:.3f}",
            "" if one["writes_a_refused_buyer"] is None else f"{one['writes_a_refused_buyer']:.4f}",
            f"{one['writes_a_unit_taken']:.3f}",
            f"{one['calls_a_take']:.2f}",
            f"{one['of_stream'].get('summary write', 0):.0f}",
        )
    return table


def _figures(title: str, figures: Mapping[str, Any]) -> Table:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    for name, value in figures.items():
        shown = ", ".join(f"{part} {what}" for part, what in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), shown.replace("_", " "))
    return table


def _print_simulation(simulation: Mapping[str, Any], console: Console) -> None:
    columns = ("scenario", "half, 99 %, all after s", "throttled", "429", "write units", "USD", "to first comers")
    table = Table(*columns, title="Simulated on DynamoDB's limits", title_justify="left")
    for one in simulation["scenarios"]:
        table.add_row(
            one["name"],
            ", ".join("-" if at is None else f"{at:.2f}" for at in one["seconds_until_taken"].values()),
            f"{one['throttled_calls']:,}",
            f"{one['answered_429']:,}",
            f"{one['write_units']:,.0f}",
            f"{one['usd']:.2f}",
            f"{one['units_to_the_first_who_came'] * 100:.0f} %",
        )
    console.print(table)
    for one in simulation["scenarios"]:
        console.print(
            f"  {one['name']}: success by tenth of arrival, %: {_percents(one['success_by_tenth_of_arrival'])};"
        )
        console.print(f"    of the first tenth: {_percents(one['success_by_tenth_of_the_first_tenth'])}")
    comparison = simulation["compared_with_the_product"]
    product_writes, model_writes = comparison["write_units_of_the_product"], comparison["write_units_of_the_model"]
    console.print(
        f"The model compared with the product, {comparison['demand']}x: "
        f"{product_writes:.0f} write units counted, {model_writes:.0f} modelled"
    )
    for assumption in simulation["assumptions"]:
        console.print(f"  · {assumption}")


def _percents(shares: list[float]) -> str:
    return " ".join(f"{share * 100:.1f}" for share in shares)
