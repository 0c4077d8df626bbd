"""Commands in documents exist with their options.

Nothing is run here; ``tests/e2e/test_guides.py`` runs the README and the guides.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest
from typer._click.exceptions import MissingParameter
from typer.core import TyperGroup
from typer.main import get_command

from infra.cli.main import app
from infra.paths import TEMPLATE
from tests.architecture.documents import blocks, documents, without_blocks
from tests.architecture.passages import ROOT
from tests.infra.intrinsics import load


def shell_commands(source: str, program: str) -> list[str]:
    """Command lines of a program in shell blocks."""
    shell = "\n".join(block.text for block in blocks(source) if block.language.split(" ")[0] == "sh")
    lines = shell.replace("\\\n", " ")
    return re.findall(rf"(?:^|\$\(|[|;&(] *|/){program} [^|;&)#\n]*", lines, flags=re.MULTILINE)


def mentions(source: str, program: str) -> list[str]:
    """Commands of a program in backticks. A name without arguments refers to any use of it."""
    return re.findall(rf"`({program} [^`…]+)`", without_blocks(source))


def _words(line: str, program: str) -> list[str]:
    return shlex.split(line[line.index(f"{program} ") :], comments=True)[1:]


def _all(read: Callable[[str, str], list[str]], program: str) -> list[str]:
    found = [line for path in documents(ROOT) for line in read(path.read_text(), program)]
    return list(dict.fromkeys(found))


def understand(line: str) -> None:
    """Read a command line as ``livedrop`` would, without running it and without asking for secrets."""
    command = get_command(app)
    name, words = "", _words(line, "livedrop")
    while isinstance(command, TyperGroup):
        name = words.pop(0)
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    for parameter in command.params:
        if getattr(parameter, "prompt", None):
            parameter.prompt_for_value = lambda context: "typed"  # type: ignore[attr-defined]
    command.make_context(name, words)


def make_targets() -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("line", _all(shell_commands, "livedrop"))
def test_each_livedrop_command_exists_with_its_options(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEDROP_STACK", "shop")
    understand(line)


@pytest.mark.parametrize("line", _all(mentions, "livedrop"))
def test_each_livedrop_command_that_is_mentioned_exists(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEDROP_STACK", "shop")
    try:
        understand(line)
    except MissingParameter:
        assert len(_words(line, "livedrop")) == 1, "arguments are missing"


def test_each_make_command_is_a_target() -> None:
    lines = [*_all(shell_commands, "make"), *_all(mentions, "make")]
    used = {word for line in lines for word in _words(line, "make") if re.fullmatch(r"[a-z][\w-]*", word)}
    assert used - make_targets() == set()
    assert {"run", "test"} <= used


def test_each_parameter_is_one_of_the_template() -> None:
    used = {name for path in documents(ROOT) for name in re.findall(r"--parameter (\w+)=", path.read_text())}
    assert used - set(load(TEMPLATE)["Parameters"]) == set()
    assert "WarmWritesPerSecond" in used


def test_commands_are_found_in_blocks_and_in_backticks() -> None:
    source = (
        "Run `livedrop audit DROP`.\n```sh\nT=$(.venv/bin/livedrop token operator)\nlivedrop keys \\\n  --x | cat\n"
    )
    source += "# livedrop in a remark\n```\n```text\nlivedrop no\n```\n"
    found = [_words(line, "livedrop") for line in shell_commands(source, "livedrop")]
    assert found == [["token", "operator"], ["keys", "--x"]]
    assert mentions(source, "livedrop") == ["livedrop audit DROP"]


def test_an_option_or_command_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option: --all"):
        understand("livedrop redrive capture --all")
    with pytest.raises(AssertionError, match="no command destroy"):
        understand("livedrop destroy")
    with pytest.raises(MissingParameter):
        understand("livedrop redrive")
    assert "destroy" not in make_targets()
