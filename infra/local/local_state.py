"""Where a local stack keeps its things, and how others find it: ``.livedrop/``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from infra.local.emulator import ROOT
from infra.local.processes import alive, end, started_at


class NotRunning(Exception):
    """No stack runs on this machine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LocalState:
    """The folder of one local stack (``LIVEDROP_HOME``, else ``.livedrop`` in the project)."""

    folder: Path

    @classmethod
    def from_environment(cls) -> LocalState:
        """The home that commands of this shell mean."""
        return cls(Path(os.environ.get("LIVEDROP_HOME") or ROOT / ".livedrop").resolve())

    @property
    def stack_info_file(self) -> Path:
        """What scripts need, while the stack is healthy."""
        return self.folder / "local.json"

    @property
    def emulator_folder(self) -> Path:
        """The engine's log and state."""
        return self.folder / "aws"

    @property
    def _processes_file(self) -> Path:
        return self.folder / "processes.json"

    def stack_info(self) -> dict[str, Any]:
        """What ``local.json`` says; empty when the stack does not run, also when it was killed and left its file."""
        try:
            known: dict[str, Any] = json.loads(self.stack_info_file.read_text())
            supervisor = known["pid"]["run"]
        except (FileNotFoundError, ValueError, KeyError):
            return {}
        return known if supervisor == self.running_pid("run") else {}

    def running_stack_info(self) -> dict[str, Any]:
        """What the running stack says of itself; :class:`NotRunning` when there is none."""
        stack_info = self.stack_info()
        if not stack_info:
            was_killed = self.stack_info_file.exists()
            what = "what ran here was killed: start it again" if was_killed else "nothing runs here: start it"
            raise NotRunning(f"{what} with `make run`")
        return stack_info

    def write_stack_info(self, stack_info: dict[str, Any]) -> None:
        """Write ``local.json``."""
        _write(self.stack_info_file, stack_info)

    def record_process(self, name: str, pid: int) -> None:
        """Remember a started process, so that it can be ended even when its supervisor was killed."""
        _write(self._processes_file, self._processes() | {name: {"pid": pid, "started_at": started_at(pid)}})

    def running_pid(self, name: str) -> int | None:
        """The id of a noted process, when it still runs."""
        process = self._processes().get(name)
        if process is None or started_at(process["pid"]) != process["started_at"] or not alive(process["pid"]):
            return None
        pid: int = process["pid"]
        return pid

    def end_processes(self) -> list[str]:
        """End whatever was noted and still runs, the front before the engine. Returns their names."""
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
    """A client of an AWS service of the stack that these facts describe."""
    return boto3.client(
        service,
        endpoint_url=stack_info["aws_endpoint"],
        region_name=stack_info["region"],
        aws_access_key_id=stack_info["aws_access_key_id"],
        aws_secret_access_key=stack_info["aws_secret_access_key"],
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file in one step, so that nobody reads half of it, and for its owner's eyes only: it may hold keys."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
