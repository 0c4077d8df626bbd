"""What the crash enumeration played, printed at the end of the run and written to ``build/crashes.json``."""

from __future__ import annotations

import json
from typing import Any

from infra.paths import ROOT

PROPERTY = "crashes"
_NUMBERS = ("points", "states", "follow_ups")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line, when crash points were played; the processes of xdist send what they recorded with each report."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    all_stats = [
        value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not all_stats:
        return
    sums: dict[str, Any] = {name: sum(stats[name] for stats in all_stats) for name in _NUMBERS}
    sums |= {"use_cases": len(all_stats), "calls": sum(len(stats["calls"]) for stats in all_stats)}
    sums["broken"] = sum(len(stats["violations"]) for stats in all_stats)
    found = sums | {"cases": {stats["case"]: stats for stats in sorted(all_stats, key=lambda stats: stats["case"])}}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "crashes.json").write_text(json.dumps(found, indent=2) + "\n")
    terminalreporter.write_line(
        f"crashes: {sums['points']} crash points at {sums['calls']} calls of {sums['use_cases']} use cases, "
        f"{sums['states']} distinct states left, {sums['follow_ups']} follow-ups, "
        f"{sums['broken']} rules broken"
    )
