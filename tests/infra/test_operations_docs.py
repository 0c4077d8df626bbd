"""The pages under ``infra/docs/operations`` name commands with their options, parameters and alarms that exist."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from infra.cli.main import app
from infra.paths import ROOT, TEMPLATE
from tests.infra.intrinsics import load
from tests.infra.packaged_template import packaged_template

OPERATIONS = ROOT / "infra" / "docs" / "operations"
PAGES = "\n".join(path.read_text() for path in sorted(OPERATIONS.glob("*.md")))
RUNBOOK = (OPERATIONS / "runbook.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```sh[ \w-]*\n(.*?)^```$", PAGES, flags=re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^livedrop .*$", BLOCKS.replace("\\\n", " "), flags=re.MULTILINE)


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_every_command_exists_with_its_options(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEDROP_STACK", "shop")
    parse_command(line)


def test_an_option_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option: --all"):
        parse_command("livedrop redrive capture --all")


def parse_command(line: str) -> None:
    """Read a command line as the command would, without running it."""
    name, *words = shlex.split(line, comments=True)[1:]
    commands = get_command(app)
    assert isinstance(commands, TyperGroup)
    commands.commands[name].make_context(name, words)


def test_every_parameter_is_one_of_the_template() -> None:
    documented = set(re.findall(r"--parameter (\w+)=", PAGES))
    assert documented <= set(load(TEMPLATE)["Parameters"])
    assert "WarmWritesPerSecond" in documented


def test_every_alarm_has_a_row_in_the_runbook() -> None:
    documented = {
        name for row in re.findall(r"^\|([^|]*)\|", RUNBOOK, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    defined = {
        name.removesuffix("Alarm")
        for name, found in packaged_template()["Resources"].items()
        if found["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert {name for name in defined if name not in documented and not name.endswith(("Throttled", "Behind"))} == set()
    assert documented - {"Throttled", "Behind"} <= defined
