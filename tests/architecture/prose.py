"""Measure the prose of the repository against the rules of contributing.md.

``python -m tests.architecture.prose`` prints figures by area. ``--list`` prints each flagged sentence, ``--long`` each
sentence over 30 words, ``--root DIR`` measures another tree.

A sentence counts towards the mean when it has four words or more and is neither a heading nor a test's name. All are
searched for flagged phrases. Code in backticks counts as one word and is not searched.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.architecture.passages import ROOT, Passage, collect

LONG = 30
"""Words of the longest sentence that is no long one."""
LABELS = frozenset({"heading", "test name"})
MIN_WORDS = 4

_BE = r"(?:is|are|was|were|be|been|being|gets?)"
_OPENINGS = frozenset({"opening"})
FLAGGED: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "opening": r"^\W*(?:who|what|whoever|whomever|such|whatever|whichever)\b",
        "whoever": r"\b(?:whoever|whomever|whosoever)\b",
        "who as a noun": r"(?:[;:]|\b(?:for|of|to|by|from|with|than|lets?))\s+who\b",
        "stands": r"\b(?:stands?|stood|standing)\b(?!-)",
        "is told": rf"\b(?:{_BE}(?:\s+\w+)?|as|what|not)\s+told\b|\btold\s+(?:of|by|to|again|once|late|twice)\b",
        "anew": r"\banew\b",
        "is let be": rf"\b{_BE}\s+let\s+(?:be|go|in|out|through|alone)\b|\blets?\s+(?:it|them)\s+(?:be|stand)\b",
        "comes again": r"\b(?:comes?|came|coming)\s+again\b",
        "thereof": r"\b(?:there|where|here)(?:of|in|on|upon|with|to|from|at)\b",
        "till": r"\btills?\b",
        "goods": r"\bgoods\b",
        "books": r"\b(?:the|its|their|our|whose|order's|shop's|into|of)\s+books?\b|\bbookings?\b"
        r"|\bbooks?\s+(?:queue|recorded|room)\b|\bbooked\b",
        "desk": r"\bdesks?\b",
        "crumb": r"\bcrumbs?\b",
        "mend": r"\bmend(?:s|ed|ing)?\b",
        "give back": r"\b(?:give|gives|gave|given|giving)\s+(?:\w+\s+){0,3}?back\b",
    }.items()
}

_CODE = re.compile(r"``[^`]+``|`[^`]+`|:\w+:`[^`]+`")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d+[.)])\s+")
_END = re.compile(r"[.!?][\"'”’)\]*_]*\s+(?=[\"'“‘(\[*_]*[A-Z0-9`‹])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|St|No|no|p|resp|approx)|\b[A-Z])\.$")


@dataclass(frozen=True)
class Sentence:
    """A sentence, where it starts, and the rules that it breaks."""

    passage: Passage
    line: int
    text: str

    @cached_property
    def words(self) -> int:
        return sum(1 for token in self.text.split() if re.search(r"[^\W_]", token))

    @property
    def counts(self) -> bool:
        """Whether its length is part of the mean."""
        return self.passage.kind not in LABELS and self.words >= MIN_WORDS

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """The flagged phrases in it. A heading may open as it likes."""
        free = _OPENINGS if self.passage.kind == "heading" else frozenset[str]()
        return tuple(name for name, pattern in FLAGGED.items() if name not in free and pattern.search(self.text))

    def __str__(self) -> str:
        return f"{self.passage.path}:{self.line}: {' '.join(self.text.split())}"


def sentences(passages: Iterable[Passage]) -> Iterator[Sentence]:
    """Split passages into sentences."""
    for passage in passages:
        for line, block in _blocks(passage.text):
            plain = _plain(block)
            start = 0
            for end in [*(found.end() for found in _END.finditer(plain) if not _abbreviated(plain, found)), len(plain)]:
                text = plain[start:end]
                if re.search(r"\w", text):
                    yield Sentence(passage, passage.line + line + plain[:start].count("\n"), text.strip())
                start = end


def _abbreviated(text: str, found: re.Match[str]) -> bool:
    return _ABBREVIATION.search(text[max(0, found.start() - 8) : found.start() + 1]) is not None


def _plain(text: str) -> str:
    """Text without markup; code is one word, and as many lines remain."""
    without_code = _CODE.sub(lambda code: "‹code›" + "\n" * code.group().count("\n"), text)
    without_links = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", without_code)
    return re.sub(r"\*\*|__|</?\w+[^>]*>", "", without_links)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Split text at blank lines, list items, and indented lines that follow a colon; leave out tables and examples."""
    block: list[str] = []
    first = 0
    for number, line in enumerate([*text.splitlines(), ""]):
        drawn = re.match(r"\s*(?:\||>>>|\.\.\.|[=~─│┌└-]{3,})", line) is not None
        item = _ITEM.match(line)
        entry = bool(block) and block[-1].rstrip().endswith(":") and _indent(line) > _indent(block[-1])
        if drawn or item or entry or not line.strip():
            if block:
                yield first, "\n".join(block)
            block = []
        if drawn or not line.strip():
            continue
        if not block:
            first = number
        block.append(line[item.end() :] if item else line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


@dataclass(frozen=True)
class Figures:
    """The figures of one area."""

    sentences: int
    flagged: int
    counted: int
    mean: float
    """Words of a sentence that counts."""
    long: int

    @property
    def long_share(self) -> float:
        """Of the sentences that count."""
        return self.long / max(1, self.counted)

    @property
    def flagged_share(self) -> float:
        """Of all sentences."""
        return self.flagged / max(1, self.sentences)


def figures_of(found: Sequence[Sentence]) -> Figures:
    """Add up sentences: those with flagged phrases, those that count, their mean words, those over 30 words."""
    counted = [one.words for one in found if one.counts]
    flagged = sum(bool(one.flags) for one in found)
    mean = sum(counted) / max(1, len(counted))
    return Figures(len(found), flagged, len(counted), mean, sum(words > LONG for words in counted))


def lengths(root: Path, folders: Iterable[str] = ("chalicelib", "infra", "tests")) -> dict[str, int]:
    """Lines of each Python file, by path."""
    files = [path for folder in folders for path in (root / folder).rglob("*.py")]
    return {path.relative_to(root).as_posix(): len(path.read_text().splitlines()) for path in files}


def modules_by_room(root: Path) -> dict[str, int]:
    """Modules of each package of ``chalicelib``, ``__init__.py`` left out."""
    library = root / "chalicelib"
    modules = [path for path in library.rglob("*.py") if path.name != "__init__.py" and path.parent != library]
    return dict(Counter(path.parent.relative_to(library).as_posix() for path in modules))


def _row(name: str, found: Sequence[Sentence]) -> str:
    measured = figures_of(found)
    length = f"{measured.mean:.1f}" if measured.counted else "-"
    long = f"{measured.long} {measured.long_share:>6.1%}" if measured.counted else "-"
    flagged = f"{measured.flagged} {measured.flagged_share:>6.1%}"
    return f"{name:<16}{measured.sentences:>11}{length:>12}{long:>15}{flagged:>16}"


def table(found: Sequence[Sentence]) -> Iterator[str]:
    """Yield a row for each area, each kind of prose in it, and the whole."""
    yield f"{'area':<16}{'sentences':>11}{'mean words':>12}{'over 30':>15}{'flagged':>16}"
    for area in dict.fromkeys(one.passage.area for one in found):
        here = [one for one in found if one.passage.area == area]
        yield _row(area, here)
        for kind in sorted({one.passage.kind for one in here}):
            yield _row(f"  {kind}", [one for one in here if one.passage.kind == kind])
    yield _row("all", found)


def main() -> None:
    """Print the figures, and the sentences that were asked for."""
    parser = argparse.ArgumentParser(description="Measure the prose of the repository.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to measure")
    parser.add_argument("--list", action="store_true", help="print each sentence with a flagged phrase")
    parser.add_argument("--long", action="store_true", help="print each sentence over 30 words")
    asked = parser.parse_args()
    found = list(sentences(collect(asked.root)))
    if asked.list:
        print("\n".join(f"{one} [{', '.join(one.flags)}]" for one in found if one.flags))
    if asked.long:
        print("\n".join(f"{one} [{one.words} words]" for one in found if one.counts and one.words > LONG))
    if asked.list or asked.long:
        return
    print("\n".join(table(found)))
    phrases = Counter(flag for one in found for flag in one.flags)
    print("\nflagged: " + ", ".join(f"{name} {count}" for name, count in phrases.most_common()))
    longest, lines = max(lengths(asked.root).items(), key=lambda one: one[1])
    rooms = sorted(modules_by_room(asked.root).items(), key=lambda one: -one[1])
    print(f"longest file: {longest}, {lines} lines")
    print("modules a room: " + ", ".join(f"{room} {count}" for room, count in rooms))


if __name__ == "__main__":
    main()
