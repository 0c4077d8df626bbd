"""Run the shell blocks of a document against the running local stack.

How a guide is written:

- a block ``sh`` is run, in the order of the document and in one shell, so that variables go on;
- when the next block is ``text``, it is what the shell block prints. Each of its lines is met in the output, in that
  order; ``…`` matches any text;
- no command is cut by ``head``: ``sed -n 1,10p`` reads all of its input, so that no pipe breaks;
- a block with another word after ``sh``, such as ``sh on-aws``, and a block of ``make`` commands are not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.architecture.documents import blocks

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "infra" / "docs" / "guides"
SECONDS = 180
"""The longest time that one guide may take."""

_MARK = "@@ end of step"


@dataclass(frozen=True)
class Step:
    """A shell block, and the lines that it is to print."""

    line: int
    script: str
    expected: tuple[str, ...] = ()

    def missing_in(self, printed: str) -> str | None:
        """The first expected line that the output lacks, in order; None when all are there."""
        rest = printed.splitlines()
        for line in self.expected:
            pattern = ".*".join(re.escape(part) for part in line.strip().split("…"))
            found = [number for number, one in enumerate(rest) if re.fullmatch(pattern, one.strip())]
            if not found:
                return line
            rest = rest[found[0] + 1 :]
        return None


def pages() -> list[Path]:
    """The README, then the guides by name."""
    return [ROOT / "README.md", *sorted(GUIDES.glob("*.md"))]


def steps_of(source: str) -> list[Step]:
    """Read the steps of a document that are run."""
    return list(_steps(source))


def _steps(source: str) -> Iterator[Step]:
    found = blocks(source)
    for block, after in pairwise([*found, None]):
        if block is None or block.language != "sh" or _is_for_make(block.text):
            continue
        output = after is not None and after.language == "text"
        lines = tuple(line for line in after.text.splitlines() if line.strip()) if after and output else ()
        yield Step(block.line, block.text, lines)


def _is_for_make(script: str) -> bool:
    commands = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
    return all(line.startswith("make ") for line in commands)


def run_steps(steps: list[Step], stack: Mapping[str, Any], folder: Path) -> list[str]:
    """Run steps in one shell against this stack; what each printed.

    ``folder`` takes a ``livedrop`` command that works on this stack instead of the one in the project's folder.
    """
    command = folder / "livedrop"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m infra.cli.main "$@"\n')
    command.chmod(0o755)
    variables = os.environ | {"LIVEDROP_HOME": stack["home"], "PATH": f"{folder}:{os.environ['PATH']}"}
    script = "".join(f"{_here(step.script, stack)}\nprintf '\\n{_MARK}\\n'\n" for step in steps)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT, env=variables, check=False, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    printed = done.stdout.split(f"\n{_MARK}\n")
    if done.returncode:
        failed = steps[min(len(printed), len(steps)) - 1]
        raise AssertionError(f"the block at line {failed.line} failed:\n{printed[-1]}\n{done.stderr}")
    return printed[:-1]


def _here(script: str, stack: Mapping[str, Any]) -> str:
    """The script for this stack: its files and its commands."""
    for there, here in {
        ".livedrop/local.json": f"{stack['home']}/local.json",
        "$PWD/.venv/bin:": "",
        ".venv/bin/livedrop": "livedrop",
    }.items():
        script = script.replace(there, here)
    return script
