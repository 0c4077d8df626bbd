"""Documents lead somewhere: links, code references, decisions, invariants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.documents import (
    anchors,
    blocks,
    broken_links,
    broken_references,
    cited_invariants,
    decision_files,
    defined_invariants,
    documents,
    faults_of_decisions,
    reachable,
)
from tests.architecture.names import python_files
from tests.architecture.passages import PATTERNS, ROOT

DOCS = ROOT / "infra" / "docs"
MAX_README_LINES = 130
MAX_DECISION_WORDS = 300
PAGES = [path.relative_to(ROOT).as_posix() for path in documents(ROOT)]

REQUIRED = """
    architecture.md invariants.md glossary.md stock-protocol.md contributing.md changelog.md security.md
    guides/storefront.md guides/shows-and-cues.md guides/discounts.md guides/finance.md
    reference/order-states.md reference/message-codes.md reference/events-out.md reference/cues-in.md
    reference/template-parameters.md reference/commands.md
    operations/deploy.md operations/keys.md operations/permissions.md operations/runbook.md
    decisions/README.md
""".split()  # noqa: SIM905


@pytest.mark.parametrize("page", REQUIRED)
def test_each_required_document_exists(page: str) -> None:
    assert (DOCS / page).is_file()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("page", PAGES)
def test_each_relative_link_leads_to_a_file_and_heading(page: str) -> None:
    assert list(broken_links(ROOT / page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_each_code_reference_exists(page: str) -> None:
    assert list(broken_references((ROOT / page).read_text(), ROOT)) == []


def test_each_document_can_be_reached_from_the_readme() -> None:
    reached = reachable(ROOT / "README.md")
    assert [page for page in PAGES if ROOT / page not in reached] == []


def test_decisions_are_numbered_dated_short_and_in_the_index() -> None:
    assert len(decision_files(DOCS / "decisions")) >= 15
    assert list(faults_of_decisions(DOCS / "decisions", MAX_DECISION_WORDS)) == []


def test_each_invariant_that_is_cited_is_defined() -> None:
    known = defined_invariants((DOCS / "invariants.md").read_text())
    assert {"1", "2", "3", "4", "5", "6", "7", "8"} <= known
    cited = {
        path.relative_to(ROOT).as_posix(): cited_invariants(path.read_text())
        for path in [*documents(ROOT), *python_files(ROOT)]
        if PATTERNS not in path.as_posix()
    }
    assert {name: numbers - known for name, numbers in cited.items() if numbers - known} == {}


def test_no_file_cites_a_law_that_is_not_in_the_repository() -> None:
    names = ("DESIGN §", "STOCK-REPORT", "DESIGN.md", "infra/decisions/")
    citing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*documents(ROOT), *python_files(ROOT)]
        if PATTERNS not in path.as_posix()
        for name in names
        if name in path.read_text()
    ]
    assert citing == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A title\n\n## The *same*: `x_y`\n\n## The same: x_y\n")
    assert anchors((tmp_path / "other.md").read_text()) == {"a-title", "the-same-x_y", "the-same-x_y-1"}
    good = (
        "[a](other.md#a-title) [`b`](other.md#the-same-x_y-1) [c](#top) [d](https://x.example) `[e](none.md)`\n# Top\n"
    )
    (tmp_path / "good.md").write_text(f"{good}```\n[f](none.md)\n# No heading\n```\n")
    assert list(broken_links(tmp_path / "good.md")) == []
    bad = "[a](none.md) [b](other.md#none) [`c`](#no-heading) ![d](none.png)\n```\n# No heading\n```\n"
    (tmp_path / "bad.md").write_text(bad)
    assert list(broken_links(tmp_path / "bad.md")) == [
        "none.md: no such file",
        "other.md#none: no such heading",
        "#no-heading: no such heading",
        "none.png: no such file",
    ]


def test_a_document_without_a_link_to_it_is_not_reached(tmp_path: Path) -> None:
    for name, text in {"a": "[b](b.md#x)", "b": "[a](a.md) [none](none.md)", "c": "[a](a.md)"}.items():
        (tmp_path / f"{name}.md").write_text(text)
    assert reachable(tmp_path / "a.md") == {tmp_path / "a.md", tmp_path / "b.md"}


def test_a_broken_code_reference_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock" / "take.py").write_text("def take(): ...\n")
    good = "`stock/take.py` `stock/take.py:take` `stock/*.py` `stock/` `exports/date/x.csv` `a/b` `take.py`"
    assert list(broken_references(good, tmp_path)) == []
    bad = "`stock/hold.py` `stock/take.py:hold` `stock/none.md` `other/none.py` `stock/h*.py` `stock/take.py::test_x`"
    assert list(broken_references(bad, tmp_path)) == [
        "stock/hold.py does not exist",
        "stock/take.py does not define hold",
        "stock/none.md does not exist",
        "other/none.py does not exist",
        "stock/h*.py does not exist",
        "stock/take.py does not define test_x",
    ]


def test_a_fault_of_a_decision_is_noticed(tmp_path: Path) -> None:
    index = "| 0001 | [Buckets](0001-buckets.md) | accepted |\n"
    index += "| 0002 | [Holds](0002-holds.md) | superseded by [1](0001-buckets.md) |\n"
    (tmp_path / "README.md").write_text(index)
    (tmp_path / "0001-buckets.md").write_text("# 0001: Buckets\n\nStatus: accepted  \nDate: 2026-11-23\n")
    (tmp_path / "0002-holds.md").write_text("# 0002: Holds\n\n**Status:** superseded by 0001\n**Date:** 2026-11-23\n")
    assert list(faults_of_decisions(tmp_path, 12)) == []
    (tmp_path / "0003-late.md").write_text("# 3\n\nStatus: unknown\n" + "word " * 20)
    (tmp_path / "README.md").write_text(f"{index}| 0009 | [None](0009-none.md) | accepted |\n")
    assert list(faults_of_decisions(tmp_path, 12)) == [
        "0003-late.md: the title does not begin with its number",
        "0003-late.md: no status",
        "0003-late.md: no date",
        "0003-late.md: 23 words",
        "0003-late.md: 0 rows in the index",
        "0009-none.md: in the index only",
    ]
    (tmp_path / "0002-holds.md").unlink()
    assert list(faults_of_decisions(tmp_path, 12)) == ["0003-late.md: number 0002 is due"]


def test_numbers_of_invariants_are_read() -> None:
    text = "Invariant 1 holds; invariants 2a, 3 and 4b too. Invariants 5 to 7. An invariant of 9 things."
    assert cited_invariants(text) == {"1", "2a", "3", "4b", "5", "6", "7"}
    assert defined_invariants("## Invariant 1: units\n### Invariant 1a: sums\n## 2 money\n# Title\n") == {
        "1",
        "1a",
        "2",
    }


def test_blocks_of_a_document_are_read() -> None:
    found = blocks("text\n```sh\nls\n```\n\n  ```text\n  x\n  ```\n")
    assert [(block.line, block.language, block.text) for block in found] == [(2, "sh", "ls\n"), (6, "text", "  x\n")]
