"""The folder of a local stack, ``.livedrop/``: its processes, and how commands find it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from infra.local.processes import alive, end, started_at
from infra.paths import ROOT


class NotRunning(Exception):
    """No stack runs on this machine. The message says how to start one."""


@dataclass(frozen=True, slots=True)
class LocalState:
    """The folder of one local stack (``LIVEDROP_HOME``, else ``.livedrop`` in the project)."""

    folder: Path

    @classmethod
    def from_environment(cls) -> LocalState:
        """Return the folder that this shell's commands use."""
        return cls(Path(os.environ.get("LIVEDROP_HOME") or ROOT / ".livedrop").resolve())

    @property
    def stack_info_file(self) -> Path:
        """``local.json``: addresses, keys and names for scripts, while the stack is healthy."""
        return self.folder / "local.json"

    @property
    def emulator_folder(self) -> Path:
        """Log and state of the emulator."""
        return self.folder / "aws"

    @property
    def _processes_file(self) -> Path:
        return self.folder / "processes.json"

    def stack_info(self) -> dict[str, Any]:
        """Read ``local.json``. Empty when no stack runs, also when a killed one left its file."""
        try:
            info: dict[str, Any] = json.loads(self.stack_info_file.read_text())
            supervisor = info["pid"]["run"]
        except (FileNotFoundError, ValueError, KeyError):
            return {}
        return info if supervisor == self.running_pid("run") else {}

    def running_stack_info(self) -> dict[str, Any]:
        """Read ``local.json`` of the running stack. Raises: NotRunning."""
        stack_info = self.stack_info()
        if stack_info:
            return stack_info
        if self.stack_info_file.exists():
            raise NotRunning("The stack of this machine was killed. Start it again with `make run`.")
        raise NotRunning("No stack runs on this machine. Start it with `make run`.")

    def write_stack_info(self, stack_info: dict[str, Any]) -> None:
        """Write ``local.json``."""
        _write(self.stack_info_file, stack_info)

    def record_process(self, name: str, pid: int) -> None:
        """Record a started process, so that it can be stopped even when its supervisor was killed."""
        _write(self._processes_file, self._processes() | {name: {"pid": pid, "started_at": started_at(pid)}})

    def running_pid(self, name: str) -> int | None:
        """Return the id of a recorded process, or None when it has ended."""
        process = self._processes().get(name)
        if process is None or started_at(process["pid"]) != process["started_at"] or not alive(process["pid"]):
            return None
        pid: int = process["pid"]
        return pid

    def end_processes(self) -> list[str]:
        """Stop the recorded processes that still run, the HTTP server before the emulator. Returns their names."""
        ended = []
        for name in ("http_server", "emulator"):
            pid = self.running_pid(name)
            if pid is not None:
                end(pid)
                ended.append(name)
        self.stack_info_file.unlink(missing_ok=True)
        supervisor = {
            name: process for name, process in self._processes().items() if name == "run" and self.running_pid(name)
        }
        self._processes_file.unlink(missing_ok=True)
        if supervisor:
            _write(self._processes_file, supervisor)
        return ended

    def _processes(self) -> dict[str, Any]:
        try:
            processes: dict[str, Any] = json.loads(self._processes_file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return processes


def aws_client(stack_info: Mapping[str, Any], service: Any) -> Any:
    """Return a client of an AWS service in the stack that ``stack_info`` describes."""
    return boto3.client(
        service,
        endpoint_url=stack_info["aws_endpoint"],
        region_name=stack_info["region"],
        aws_access_key_id=stack_info["aws_access_key_id"],
        aws_secret_access_key=stack_info["aws_secret_access_key"],
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file in one step, so that nobody reads half of it. Only its owner may read it: it may contain keys."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
