"""Where a local stack keeps its things, and how others find it: ``.livedrop/``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from infra.local.engine import ROOT
from infra.local.processes import alive, born, end


class NotRunning(Exception):
    """No stack runs on this machine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one local stack (``LIVEDROP_HOME``, else ``.livedrop`` in the project)."""

    folder: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The home that commands of this shell mean."""
        return cls(Path(os.environ.get("LIVEDROP_HOME") or ROOT / ".livedrop").resolve())

    @property
    def facts_file(self) -> Path:
        """What scripts need, while the stack is healthy."""
        return self.folder / "local.json"

    @property
    def engine_folder(self) -> Path:
        """The engine's log and state."""
        return self.folder / "aws"

    @property
    def _parts_file(self) -> Path:
        return self.folder / "parts.json"

    def facts(self) -> dict[str, Any]:
        """What ``local.json`` says; empty when the stack does not run, also when it was killed and left its file."""
        try:
            known: dict[str, Any] = json.loads(self.facts_file.read_text())
            supervisor = known["pid"]["run"]
        except (FileNotFoundError, ValueError, KeyError):
            return {}
        return known if supervisor == self.running("run") else {}

    def facts_of_running(self) -> dict[str, Any]:
        """What the running stack says of itself; :class:`NotRunning` when there is none."""
        facts = self.facts()
        if not facts:
            killed = self.facts_file.exists()
            what = "what ran here was killed: start it again" if killed else "nothing runs here: start it"
            raise NotRunning(f"{what} with `make run`")
        return facts

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write ``local.json``."""
        _write(self.facts_file, facts)

    def note_part(self, name: str, pid: int) -> None:
        """Remember a started process, so that it can be ended even when its supervisor was killed."""
        _write(self._parts_file, self._parts() | {name: {"pid": pid, "born": born(pid)}})

    def running(self, name: str) -> int | None:
        """The id of a noted process, when it still runs."""
        part = self._parts().get(name)
        if part is None or born(part["pid"]) != part["born"] or not alive(part["pid"]):
            return None
        pid: int = part["pid"]
        return pid

    def end_parts(self) -> list[str]:
        """End whatever was noted and still runs, the front before the engine. Returns their names."""
        ended = []
        for name in ("front", "engine"):
            pid = self.running(name)
            if pid is not None:
                end(pid)
                ended.append(name)
        self.facts_file.unlink(missing_ok=True)
        supervisor = {name: part for name, part in self._parts().items() if name == "run" and self.running(name)}
        self._parts_file.unlink(missing_ok=True)
        if supervisor:
            _write(self._parts_file, supervisor)
        return ended

    def _parts(self) -> dict[str, Any]:
        try:
            parts: dict[str, Any] = json.loads(self._parts_file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return parts


def aws_client(facts: Mapping[str, Any], service: Any) -> Any:
    """A client of an AWS service of the stack that these facts describe."""
    return boto3.client(
        service,
        endpoint_url=facts["aws_endpoint"],
        region_name=facts["region"],
        aws_access_key_id=facts["aws_access_key_id"],
        aws_secret_access_key=facts["aws_secret_access_key"],
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file in one step, so that nobody reads half of it, and for its owner's eyes only: it may hold keys."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
