"""The reference pages agree with the code, the template, the Makefile and the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chalicelib.shows import parse_cue
from infra.docs_reference import codes
from infra.docs_reference.collectors import COLLECTORS
from infra.docs_reference.pages import COMMAND, DOCS, MISSING, Rows, pages, rewritten, unexplained

NAMES = [path.relative_to(DOCS).as_posix() for path in pages()]


@pytest.mark.parametrize("name", NAMES)
def test_page_is_what_the_code_says(name: str) -> None:
    source = (DOCS / name).read_text()
    assert source == rewritten(source, COLLECTORS), f"{name} differs from the code: run `{COMMAND}`"


@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_explained(name: str) -> None:
    assert unexplained((DOCS / name).read_text()) == []


def test_each_collector_has_a_block() -> None:
    used = {
        block for name in NAMES for block in re.findall(r"<!-- from the code: (\w+) -->", (DOCS / name).read_text())
    }
    assert used == set(COLLECTORS)


def test_there_is_an_example_of_each_cue_that_the_code_accepts() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", (DOCS / "reference" / "cues-in.md").read_text(), re.M | re.S)
    types = [parse_cue(json.loads(example)).type.value for example in examples]
    assert types == [cells[0].strip("`") for cells in COLLECTORS["cue_types"]().cells]  # type: ignore[union-attr]


def test_codes_are_found_in_constants_tables_and_helpers() -> None:
    messages = codes.message_codes()
    assert messages["all_held"] == {"error"}  # a constant
    assert messages["limit_exceeded"] == {"error", "warning"}  # at two places
    assert messages["already_completed"] == {"error"}  # a table of the function
    assert messages["discount_code_expired"] == {"warning"}  # a table of the module
    problems = codes.problem_codes()
    assert problems["not_found"] == {404}  # a class
    assert problems["day_not_over"] == {409}  # an argument
    assert problems["currency"] == {400}  # an argument of a helper
    assert "stale_open" in codes.refusal_codes()
    assert {"takes_refused_busy", "orders_paid", "…_failed"} <= set(codes.metric_names())


PAGE = "<!-- from the code: fruit -->\n| name | rows | taste |\n|---|---|---|\n{rows}<!-- end -->\nText\n"


def test_table_keeps_what_is_written_by_hand_and_notices_what_is_new_or_gone() -> None:
    source = PAGE.format(rows="| `apple` | 1 | sour |\n| `pear` | 1 | sweet |\n")
    found = rewritten(source, {"fruit": lambda: Rows([("`apple`", "2"), ("`fig`", "1")])})
    assert found == PAGE.format(rows=f"| `apple` | 2 | sour |\n| `fig` | 1 | {MISSING} |\n")
    assert found != source
    assert unexplained(found) == [f"| `fig` | 1 | {MISSING} |"]
    assert unexplained(source) == []


def test_text_is_replaced_whole() -> None:
    source = "<!-- from the code: list -->\nold\n<!-- end -->\n"
    assert rewritten(source, {"list": lambda: "new\n"}) == source.replace("old", "new")


def test_block_without_a_collector_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="unheard"):
        rewritten("<!-- from the code: unheard -->\n<!-- end -->", {})
