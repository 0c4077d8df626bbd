"""Read documents: their headings, links, code references, invariants and decisions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.glossary import missing_place

_FENCE = re.compile(r"^( *)(```|~~~)([^\n]*)\n(.*?)^\1\2\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_CITED = re.compile(r"\b[Ii]nvariants?\s+(\d+[a-z]?(?:(?:\s*,\s*|\s+and\s+|\s*,\s+and\s+|\s+or\s+)\d+[a-z]?)*)")
_CITED_RANGE = re.compile(r"\b[Ii]nvariants?\s+(\d+)(?:\s+to\s+|\s*–\s*|-)(\d+)")
_DECISION = re.compile(r"^(\d{4})-[a-z0-9-]+\.md$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    line: int
    language: str
    """All that follows the opening fence."""
    text: str


def documents(root: Path) -> list[Path]:
    """The project's own documents."""
    found = [root / "README.md", *sorted((root / "tests").glob("*.md")), *sorted((root / "infra").rglob("*.md"))]
    return [path for path in found if path.is_file()]


def blocks(source: str) -> list[Block]:
    """Read the fenced blocks of a document, in their order."""
    return [
        Block(source[: found.start()].count("\n") + 1, found[3].strip(), found[4]) for found in _FENCE.finditer(source)
    ]


def without_blocks(source: str) -> str:
    """The document with its fenced blocks emptied; lines keep their numbers."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), source)


def without_code(source: str) -> str:
    """The document without fenced blocks and without code in backticks."""
    return re.sub(r"`+[^`\n]*`+", "", without_blocks(source))


def anchors(source: str) -> set[str]:
    """Anchors of a document as GitHub makes them: from its headings, and those that it sets itself."""
    plain = without_blocks(source)
    seen: Counter[str] = Counter()
    found = set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", plain))
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", plain, flags=re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(source: str) -> list[str]:
    """Targets of the relative links and images of a document."""
    plain = without_code(re.sub(r"\[(`[^`\]]*`)\]", "[code]", source))
    targets = [*_LINK.findall(plain), *_IMAGE.findall(plain)]
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def broken_links(path: Path) -> Iterator[str]:
    """Say which relative links of a document lead nowhere."""
    source = path.read_text()
    for target in links(source):
        name, _, anchor = target.partition("#")
        there = (path.parent / name) if name else path
        if not there.exists():
            yield f"{target}: no such file"
        elif anchor and (there.suffix != ".md" or anchor not in anchors(there.read_text())):
            yield f"{target}: no such heading"


def reachable(start: Path) -> set[Path]:
    """Files that a reader can reach from a document by its links, and by those of the documents there."""
    reached: set[Path] = set()
    new = [start.resolve()]
    while new:
        path = new.pop()
        if path in reached or not path.is_file():
            continue
        reached.add(path)
        if path.suffix == ".md":
            new += [(path.parent / target.partition("#")[0]).resolve() for target in links(path.read_text())]
    return reached


def broken_references(source: str, root: Path) -> Iterator[str]:
    """Say which files and symbols in backticks do not exist: ``path/file.py``, ``path/file.py:symbol``, globs.

    A path is checked when it ends in ``.py``, or when it begins with a folder of the project. The
    reports and packages below ``build/`` are not checked.
    """
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_blocks(source)):
        if not re.fullmatch(r"[\w.*-]+(?:/[\w.*-]+)+/?(?:::?[\w.]+)?", code):
            continue
        path, _, symbol = code.replace("::", ":").partition(":")
        in_project = (root / path.split("/")[0]).is_dir() and not path.startswith((".", "build/"))
        if not path.endswith(".py") and not in_project:
            continue
        if symbol:
            reason = missing_place(f"{path}:{symbol}", root)
        else:
            reason = None if any(root.glob(path.rstrip("/"))) else f"{path} does not exist"
        if reason:
            yield reason


def defined_invariants(source: str) -> set[str]:
    """Numbers of the headings ``Invariant 1: …`` and ``Invariant 1a: …``."""
    return set(re.findall(r"^#+\s+(?:Invariant\s+)?(\d+[a-z]?)\b", without_blocks(source), flags=re.MULTILINE))


def cited_invariants(text: str) -> set[str]:
    """Numbers of the invariants that a text cites: ``Invariant 1``, ``Invariants 1a and 4``, ``Invariants 1 to 4``."""
    found = {number for group in _CITED.findall(text) for number in re.findall(r"\d+[a-z]?", group)}
    for first, last in _CITED_RANGE.findall(text):
        found |= {str(number) for number in range(int(first), int(last) + 1)}
    return found


def decision_files(folder: Path) -> list[Path]:
    """Decisions in the order of their numbers."""
    return sorted(path for path in folder.glob("*.md") if _DECISION.match(path.name))


def faults_of_decisions(folder: Path, most_words: int) -> Iterator[str]:
    """Say what is wrong with decisions: gaps, missing fields, length, and what the index lacks."""
    index = (folder / "README.md").read_text()
    files = decision_files(folder)
    for expected, path in enumerate(files, start=1):
        if int(path.name[:4]) != expected:
            yield f"{path.name}: number {expected:04d} is due"
            return
    for path in files:
        yield from (f"{path.name}: {fault}" for fault in _faults_of_decision(path, index, most_words))
    for name in re.findall(r"\((\d{4}-[^)]+\.md)\)", index):
        if not (folder / name).is_file():
            yield f"{name}: in the index only"


def _faults_of_decision(path: Path, index: str, most_words: int) -> Iterator[str]:
    source = path.read_text()
    status = re.search(r"^\W*Status\W+(accepted|superseded by \W*\d{4}|proposed)", source, flags=re.MULTILINE)
    words = sum(1 for token in without_blocks(source).split() if re.search(r"\w", token))
    rows = [line for line in index.splitlines() if line.startswith("|") and _first_link(line) == path.name]
    if not re.match(rf"# {path.name[:4]}\b", source):
        yield "the title does not begin with its number"
    if status is None:
        yield "no status"
    if not re.search(r"^\W*Date\W+\d{4}-\d{2}-\d{2}\b", source, flags=re.MULTILINE):
        yield "no date"
    if words > most_words:
        yield f"{words} words"
    if len(rows) != 1:
        yield f"{len(rows)} rows in the index"
    elif status is not None and status[1].split()[0] not in rows[0]:
        yield "another status in the index"


def _first_link(text: str) -> str | None:
    found = _LINK.search(text)
    return found[1] if found else None
