"""Collect what tests recorded at the end of a run, and write it to ``build/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra.paths import ROOT


def recorded_values(terminalreporter: Any, name: str) -> list[Any]:
    """Return what all tests recorded as property ``name``, from every process of pytest-xdist.

    Each test has a report for setup, call and teardown. Only that of the call is read, so that a value counts once.
    """
    reports = [report for some in terminalreporter.stats.values() for report in some]
    properties = [
        one for report in reports if getattr(report, "when", None) == "call" for one in report.user_properties
    ]
    return [value for key, value in properties if key == name]


def write_report(name: str, content: Mapping[str, Any]) -> None:
    """Write ``build/<name>.json``."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
