"""The figures of the crash enumeration, for the end of the run and for ``build/crashes.json``."""

from __future__ import annotations

from typing import Any

from tests.report import recorded_values, write_report

PROPERTY = "crashes"
_NUMBERS = ("points", "states", "follow_ups")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print one line with the sums, and write ``build/crashes.json``."""
    all_stats = recorded_values(terminalreporter, PROPERTY)
    if not all_stats:
        return
    sums: dict[str, Any] = {name: sum(stats[name] for stats in all_stats) for name in _NUMBERS}
    sums |= {"use_cases": len(all_stats), "calls": sum(len(stats["calls"]) for stats in all_stats)}
    sums["broken"] = sum(len(stats["violations"]) for stats in all_stats)
    found = sums | {"cases": {stats["case"]: stats for stats in sorted(all_stats, key=lambda stats: stats["case"])}}
    write_report("crashes", found)
    terminalreporter.write_line(
        f"crashes: {sums['points']} crash points at {sums['calls']} calls of {sums['use_cases']} use cases, "
        f"{sums['states']} distinct states left, {sums['follow_ups']} follow-ups, "
        f"{sums['broken']} invariants broken"
    )
