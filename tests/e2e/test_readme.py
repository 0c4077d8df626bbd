"""The README's tour, as it stands there, on the running stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local.emulator import ROOT

pytestmark = pytest.mark.e2e


def blocks() -> list[str]:
    """The README's shell blocks, in their order."""
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def run(script: str, stack: dict[str, Any]) -> list[str]:
    """Run a block against this stack in place of the one in the project's folder; the lines it prints."""
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


def test_the_tour_buys_a_thing(stack: dict[str, Any]) -> None:
    printed = run(blocks()[1].replace("| head -30", ""), stack)
    assert "complete_in_progress" in printed
    assert any(re.fullmatch(r"completed ord_[A-Za-z0-9_-]{22}", line) for line in printed)
    audit = json.loads("\n".join(printed[len(printed) - printed[::-1].index("{") - 1 :]))
    assert (audit["drop_id"], audit["mismatches"], audit["sold"] >= 1) == ("scissor", [], True)


def test_the_operators_calls_put_a_show_and_a_drop_that_waits_for_its_cue(stack: dict[str, Any]) -> None:
    address = blocks()[1].splitlines()[0]
    printed = run(f"{address}\n{blocks()[2]}\ncurl -s $LD/shows/gala/live", stack)
    live = json.loads(printed[-1][printed[-1].rindex('{"show_id":"gala","server_time"') :])
    assert [(drop["drop_id"], drop["state"], drop["available"]) for drop in live["drops"]] == [
        ("gala-mug", "scheduled", 50)
    ]


def test_the_operators_call_puts_a_code_with_a_budget(stack: dict[str, Any]) -> None:
    address, token = blocks()[1].splitlines()[0], blocks()[2].splitlines()[0]
    look = 'curl -s $LD/discounts/welcome10 -H "Authorization: Bearer $TOKEN"'
    discount = json.loads(run(f"{address}\n{token}\n{blocks()[3]}\necho\n{look}", stack)[-1])
    assert discount["budgets"] == [{"of": "uses", "size": 500, "available": 500, "reserved": 0, "used": 0}]
