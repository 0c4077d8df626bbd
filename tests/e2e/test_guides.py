"""The README and each guide, as a new user follows them: every command succeeds and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.guides import GUIDES, ROOT, Step, pages, run_steps, steps_of

GUIDE_NAMES = {"storefront.md", "shows-and-cues.md", "discounts.md", "finance.md"}


@pytest.mark.e2e
@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in pages()])
def test_each_command_of_a_page_succeeds_and_prints_what_it_says(
    page: str, stack: dict[str, Any], tmp_path: Path
) -> None:
    steps = steps_of((ROOT / page).read_text())
    assert steps, f"{page} has nothing to run"
    printed = run_steps(steps, stack, tmp_path)
    missing = [
        f"line {step.line}: {line!r} is missing in:\n{output}"
        for step, output in zip(steps, printed, strict=True)
        if (line := step.missing_in(output)) is not None
    ]
    assert missing == []


def test_there_is_a_guide_for_each_reader_and_each_says_what_its_commands_print() -> None:
    assert {path.name for path in GUIDES.glob("*.md")} == GUIDE_NAMES
    silent = [path.name for path in pages() if not any(step.expected for step in steps_of(path.read_text()))]
    assert silent == []


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in pages()])
def test_no_command_of_a_page_is_cut_by_head(page: str) -> None:
    cut = [step.line for step in steps_of((ROOT / page).read_text()) if re.search(r"\|\s*head\b", step.script)]
    assert cut == []


def test_steps_are_shell_blocks_with_the_output_that_follows_them() -> None:
    source = (
        "```sh\nmake run  # starts\n```\n```sh\na\n```\nIt prints:\n```text\nx … y\n\nz\n```\n```sh on-aws\nb\n```\n"
    )
    assert steps_of(f"{source}```sh\nc\n```\n```json\n1\n```\n") == [
        Step(4, "a\n", ("x … y", "z")),
        Step(16, "c\n"),
    ]


def test_output_that_lacks_a_line_is_noticed() -> None:
    step = Step(1, "", ("status … done", "end"))
    assert step.missing_in("start\n  status is done\nmore\nend\n") is None
    assert step.missing_in("end\nstatus is done\n") == "end"
    assert step.missing_in("status is not done yet\nend\n") == "status … done"


def test_a_command_that_fails_is_noticed_with_its_line(tmp_path: Path) -> None:
    stack = {"home": str(tmp_path)}
    printed = run_steps(
        [Step(1, "X=1\nprintf one"), Step(5, "echo $X; cat .livedrop/local.json || true")], stack, tmp_path
    )
    assert printed == ["one", "1\n"]
    with pytest.raises(AssertionError, match="the block at line 5 failed"):
        run_steps([Step(1, "echo one"), Step(5, "echo two | grep three"), Step(9, "echo four")], stack, tmp_path)
