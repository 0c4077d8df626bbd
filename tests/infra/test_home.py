"""Whether a local stack runs, as its home tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.home import Home, NotRunning


def a_home(folder: Path, *, run: int, **facts: str) -> Home:
    """The home of a stack that the process ``run`` supervises."""
    home = Home(folder)
    home.note_part("run", run)
    home.write_facts(facts | {"pid": {"run": run}})
    return home


def a_killed_home(folder: Path) -> Home:
    """The home of a stack whose supervisor was killed outright."""
    supervisor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    home = a_home(folder, run=supervisor.pid, http="http://localhost")
    assert home.facts()["http"] == "http://localhost"
    supervisor.kill()
    supervisor.communicate()
    return home


def test_what_a_killed_supervisor_left_behind_is_no_running_stack(tmp_path: Path) -> None:
    home = a_killed_home(tmp_path)
    assert home.facts_file.exists()
    assert home.facts() == {}
    with pytest.raises(NotRunning, match="what ran here was killed: start it again with `make run`"):
        home.facts_of_running()


def test_a_new_supervisor_is_not_described_by_the_facts_of_a_killed_one(tmp_path: Path) -> None:
    home = a_killed_home(tmp_path)
    home.note_part("run", os.getpid())
    assert home.facts() == {}


def test_half_a_file_is_no_running_stack(tmp_path: Path) -> None:
    home = a_home(tmp_path, run=os.getpid())
    home.facts_file.write_text('{"pid"')
    assert home.facts() == {}


@pytest.mark.parametrize(
    "command", ["token operator", "audit scissor", "redrive ledger", "recover", "export 2026-11-23"]
)
def test_a_command_says_that_what_it_needs_was_killed(tmp_path: Path, command: str) -> None:
    a_killed_home(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", *command.split()],
        env=os.environ | {"LIVEDROP_HOME": str(tmp_path)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "livedrop: what ran here was killed: start it again with `make run`\n"
