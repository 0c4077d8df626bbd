"""A local stack runs or not, as its folder shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.local_state import LocalState, NotRunning


def a_local_state(folder: Path, *, run: int, **stack_info: str) -> LocalState:
    """Make the folder of a stack that the process ``run`` supervises."""
    local_state = LocalState(folder)
    local_state.record_process("run", run)
    local_state.write_stack_info(stack_info | {"pid": {"run": run}})
    return local_state


def a_killed_stack(folder: Path) -> LocalState:
    """Make the folder of a stack whose supervisor was killed with SIGKILL."""
    supervisor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    home = a_local_state(folder, run=supervisor.pid, http="http://localhost")
    assert home.stack_info()["http"] == "http://localhost"
    supervisor.kill()
    supervisor.communicate()
    return home


def test_folder_of_a_killed_supervisor_is_no_running_stack(tmp_path: Path) -> None:
    home = a_killed_stack(tmp_path)
    assert home.stack_info_file.exists()
    assert home.stack_info() == {}
    with pytest.raises(NotRunning, match=r"The stack of this machine was killed\. Start it again with `make run`\."):
        home.running_stack_info()


def test_new_supervisor_is_not_described_by_info_of_a_killed_one(tmp_path: Path) -> None:
    home = a_killed_stack(tmp_path)
    home.record_process("run", os.getpid())
    assert home.stack_info() == {}


def test_truncated_info_file_is_no_running_stack(tmp_path: Path) -> None:
    home = a_local_state(tmp_path, run=os.getpid())
    home.stack_info_file.write_text('{"pid"')
    assert home.stack_info() == {}


@pytest.mark.parametrize(
    "command", ["token operator", "audit scissor", "redrive ledger", "recover", "export 2026-11-23"]
)
def test_command_reports_in_one_line_that_its_stack_was_killed(tmp_path: Path, command: str) -> None:
    a_killed_stack(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *command.split()],
        env=os.environ | {"LIVEDROP_HOME": str(tmp_path)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "livedrop: The stack of this machine was killed. Start it again with `make run`.\n"
