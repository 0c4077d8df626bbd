"""The commands of the README's tour work on the running stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.paths import ROOT

pytestmark = pytest.mark.e2e


def blocks() -> list[str]:
    """Return the README's shell blocks in their order."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def run(script: str, stack: dict[str, Any]) -> list[str]:
    """Run a block against this stack instead of the one in the project's folder. Returns the printed lines."""
    here = {
        ".livedrop/local.json": f"{stack['home']}/local.json",
        ".venv/bin/livedrop": f"{sys.executable} -m infra.cli.main",
    }
    for there, replacement in here.items():
        script = script.replace(there, replacement)
    variables = os.environ | {"LIVEDROP_HOME": stack["home"]}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=Path(ROOT), env=variables, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_tour_of_the_readme_buys_a_unit(stack: dict[str, Any]) -> None:
    printed = run(blocks()[1].replace("| sed -n 1,30p", ""), stack)
    assert "complete_in_progress" in printed
    assert any(re.fullmatch(r"completed ord_[A-Za-z0-9_-]{22}", line) for line in printed)
    audit = _first_fields(printed[len(printed) - printed[::-1].index("{") - 1 :])
    assert (audit["drop_id"], audit["mismatches"], audit["sold"] >= 1) == ("scissor", [], True)
    assert audit["available"] + audit["held"] + audit["sold"] == audit["size"]


def _first_fields(lines: list[str]) -> dict[str, Any]:
    """Read the first lines of an object of JSON, of which the README shows no more."""
    fields: dict[str, Any] = json.loads("\n".join(lines).rstrip(",") + "\n}")
    return fields
