"""The prose rules of contributing.md, and the sizes of files and rooms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.passages import (
    ROOT,
    Passage,
    collect,
    is_sentence,
    markdown_passages,
    python_passages,
    template_passages,
)
from tests.architecture.prose import LONG, Sentence, figures_of, lengths, modules_by_room, sentences

MAX_MEAN_WORDS = 20
MAX_FLAGGED_SHARE = 0.0
MAX_LONG_SHARE = 0.0
MAX_LINES = 300
MAX_MODULES = 14

AREAS = ("chalicelib", "infra", "tests", "documents", "template")


@cache
def _all() -> list[Sentence]:
    return list(sentences(collect(ROOT)))


def _of(area: str) -> list[Sentence]:
    return [one for one in _all() if one.passage.area == area]


@pytest.mark.parametrize("area", AREAS)
def test_no_sentence_has_a_flagged_phrase(area: str) -> None:
    found = _of(area)
    flagged = [f"{one} [{', '.join(one.flags)}]" for one in found if one.flags]
    assert figures_of(found).flagged_share <= MAX_FLAGGED_SHARE, "\n".join(flagged)


@pytest.mark.parametrize("area", AREAS)
def test_no_sentence_is_too_long(area: str) -> None:
    found = _of(area)
    long = [f"{one} [{one.words} words]" for one in found if one.counts and one.words > LONG]
    assert figures_of(found).long_share <= MAX_LONG_SHARE, "\n".join(long)


@pytest.mark.parametrize("area", AREAS)
def test_sentences_are_short_on_average(area: str) -> None:
    measured = figures_of(_of(area))
    assert measured.counted > 0
    assert measured.mean <= MAX_MEAN_WORDS


def test_no_file_is_too_long_to_read() -> None:
    assert {path: lines for path, lines in lengths(ROOT).items() if lines > MAX_LINES} == {}


def test_no_room_has_too_many_modules() -> None:
    assert {room: count for room, count in modules_by_room(ROOT).items() if count > MAX_MODULES} == {}


def _sentences(text: str, kind: str = "docstring") -> list[Sentence]:
    return list(sentences([Passage("area", kind, "file.py", 1, text)]))


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("Who captures looks once more.", "opening"),
        ("Whatever the mode, the sum holds.", "opening"),
        ("The hold of whoever asks is kept.", "whoever"),
        ("Counted for who tried.", "who as a noun"),
        ("The order as it stands.", "stands"),
        ("The worker is told of it.", "is told"),
        ("The summary is made anew.", "anew"),
        ("The hold is let be.", "is let be"),
        ("The message comes again.", "comes again"),
        ("Read the item and the end thereof.", "thereof"),
        ("Ask the till for it.", "till"),
        ("Goods before money.", "goods"),
        ("Written into the books.", "books"),
        ("Ask the desk.", "desk"),
        ("Rake the crumbs together.", "crumb"),
        ("The repair mends it.", "mend"),
        ("Give the units back.", "give back"),
    ],
)
def test_a_flagged_phrase_is_found(text: str, flag: str) -> None:
    assert flag in [name for one in _sentences(text) for name in one.flags]


@pytest.mark.parametrize(
    "text",
    [
        "The engineer understands notwithstanding the outstanding amount of a standard drop.",
        "Providers such as Stripe know what happened, and the buyer who paid knows it too.",
        "Children's books have a lower rate, and therefore a category.",
        "`till`, ``desk`` and `what stands anew` are names.",
        "The stand-in answers; amend and recommend the change.",
        "Return the amount whatever the tax mode is.",
    ],
)
def test_plain_sentences_are_not_flagged(text: str) -> None:
    assert [one.flags for one in _sentences(text) if one.flags] == []


def test_text_is_split_into_sentences_with_their_lines_and_words() -> None:
    text = "Hold units, e.g. Two of them. Costs `1 WCU`!\n\n- one item\n  goes on\n- another.\n\n| a | table |\n"
    text += "Raises:\n    E: x."
    found = [(one.line, one.text, one.words) for one in _sentences(text)]
    assert found == [
        (1, "Hold units, e.g. Two of them.", 6),
        (1, "Costs ‹code›!", 2),
        (3, "one item\n  goes on", 4),
        (5, "another.", 1),
        (8, "Raises:", 1),
        (9, "E: x.", 2),
    ]


def test_figures_count_long_and_flagged_sentences() -> None:
    long = f"It is {'very ' * LONG}long. It is short enough here. Anew."
    measured = figures_of(_sentences(long))
    assert (measured.sentences, measured.counted, measured.long, measured.flagged) == (3, 2, 1, 1)
    assert (measured.mean, measured.long_share) == (19.0, 0.5)
    assert figures_of(_sentences("a test name that counts for nothing", "test name")).counted == 0


def test_passages_of_a_module_are_found() -> None:
    source = '''"""The first line."""

LIMIT = 3  # noqa: N806 - a reason is given
"""The most units."""
# A comment
# of two lines.


def test_a_name() -> None:
    raise ValueError(f"the field {LIMIT} is not a number" + "a-key" + "12 St James Square")
'''
    assert set(python_passages(source)) == {
        ("docstring", 1, "The first line."),
        ("docstring", 4, "The most units."),
        ("comment", 3, "a reason is given"),
        ("comment", 5, "A comment\nof two lines."),
        ("test name", 9, "a name"),
        ("message", 10, "the field `x` is not a number"),
    }


@pytest.mark.parametrize("text", ["SET a = :a, b = :b", "/shows/{id}/live", "Europe London Tower Bridge", "two words"])
def test_a_literal_that_is_no_sentence_is_no_message(text: str) -> None:
    assert not is_sentence(text)


def test_passages_of_a_document_leave_out_code_and_tables() -> None:
    source = "# A title\n\nText of\ntwo lines.\n```sh\nno text\n```\n| a | b |\n- an item\n"
    assert list(markdown_passages(source)) == [
        ("heading", 1, "A title"),
        ("paragraph", 3, "Text of\ntwo lines."),
        ("paragraph", 9, "- an item"),
    ]


def test_passages_of_a_template_are_its_descriptions_and_comments() -> None:
    source = (
        "# A reason\nParameters:\n  Zone:\n    Description: >-\n      Where days\n      begin\nOther: [!Ref Zone]\n"
    )
    found: Iterator[tuple[str, int, str]] = template_passages(source)
    assert list(found) == [("comment", 1, "A reason"), ("description", 4, "Where days begin")]


def test_files_and_rooms_of_a_tree_are_measured(tmp_path: Path) -> None:
    room = tmp_path / "chalicelib" / "room"
    room.mkdir(parents=True)
    (tmp_path / "tests" / "architecture").mkdir(parents=True)
    (tmp_path / "app.py").write_text('"""Compose the rooms."""\n')
    (room / "__init__.py").write_text("")
    (room / "one.py").write_text("x = 1\n" * 301)
    (room / "two.py").write_text('raise ValueError("the hold is not there")\n')
    (tmp_path / "tests" / "architecture" / "two.py").write_text('x = "the till is not there"\n')
    assert max(lengths(tmp_path).items(), key=lambda one: one[1]) == ("chalicelib/room/one.py", 301)
    assert modules_by_room(tmp_path) == {"room": 2}
    assert [(one.area, one.path, one.text) for one in collect(tmp_path)] == [
        ("chalicelib", "app.py", "Compose the rooms."),
        ("chalicelib", "chalicelib/room/two.py", "the hold is not there"),
    ]
