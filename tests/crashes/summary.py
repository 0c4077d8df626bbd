"""What the crash enumeration played, printed at the end of the run and written to ``build/crashes.json``."""

from __future__ import annotations

import json
from typing import Any

from infra.local.engine import ROOT

PROPERTY = "crashes"
_NUMBERS = ("points", "states", "aftermaths")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line, when crash points were played; the processes of xdist send what they recorded with each report."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    tallies = [
        value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not tallies:
        return
    sums: dict[str, Any] = {name: sum(tally[name] for tally in tallies) for name in _NUMBERS}
    sums |= {"use_cases": len(tallies), "calls": sum(len(tally["calls"]) for tally in tallies)}
    sums["broken"] = sum(len(tally["broken"]) for tally in tallies)
    found = sums | {"cases": {tally["case"]: tally for tally in sorted(tallies, key=lambda tally: tally["case"])}}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "crashes.json").write_text(json.dumps(found, indent=2) + "\n")
    terminalreporter.write_line(
        f"crashes: {sums['points']} crash points at {sums['calls']} calls of {sums['use_cases']} use cases, "
        f"{sums['states']} distinct states left, {sums['aftermaths']} aftermaths, "
        f"{sums['broken']} rules broken"
    )
