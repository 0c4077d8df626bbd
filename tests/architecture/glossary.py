"""Read the tables of ``infra/docs/glossary.md``, and look for its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.names import contains, definitions, symbols, words_of

_PLACE = re.compile(r"^(?P<path>[\w./-]+\.py)(?::(?P<symbol>[\w.]+))?$")


@dataclass(frozen=True)
class Term:
    """A term and the files and symbols in which it is defined."""

    name: str
    meaning: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Banned:
    """A word that is not used, and where it is not."""

    word: str
    instead: str
    in_names: bool
    in_prose: bool


def rows(source: str, *columns: str) -> list[tuple[str, ...]]:
    """Read the rows of the table that has these column names."""
    found: list[tuple[str, ...]] = []
    inside = False
    for line in source.splitlines():
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        if not line.startswith("|"):
            inside = False
        elif cells == columns:
            inside = True
        elif inside and set(line) - set("|-: "):
            found.append(cells)
    return found


def terms_of(source: str) -> list[Term]:
    """Read the terms of a glossary."""
    return [
        Term(name, meaning, tuple(re.findall(r"`([^`]+)`", where)))
        for name, meaning, where in rows(source, "term", "meaning", "where")
    ]


def banned_of(source: str) -> list[Banned]:
    """Read the banned words of a glossary."""
    return [
        Banned(word, instead, "names" in places, "prose" in places)
        for words, instead, places in rows(source, "banned", "use instead", "banned in")
        for word in re.findall(r"`([^`]+)`", words)
    ]


def missing_place(place: str, root: Path) -> str | None:
    """Say why ``path/file.py`` or ``path/file.py:symbol`` does not exist; None when it does."""
    found = _PLACE.match(place)
    if found is None:
        return f"{place} is neither a file nor a symbol"
    path = root / found["path"]
    if not path.is_file():
        return f"{found['path']} does not exist"
    if found["symbol"] and found["symbol"] not in symbols(path.read_text()):
        return f"{found['path']} does not define {found['symbol']}"
    return None


def banned_in_name(name: str, banned: Iterable[Banned]) -> list[str]:
    """Words that a name contains although they are banned in names."""
    return [one.word for one in banned if one.in_names and _is_in_name(name, one.word)]


def _is_in_name(name: str, word: str) -> bool:
    if word.endswith("_"):
        return f"{name.lstrip('_')}_".startswith(word)
    return contains(name, words_of(word))


def banned_names(
    source: str, stem: str, banned: Iterable[Banned], allowed: Iterable[str] = ()
) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line, name and banned words of the names in a module, its own name first.

    Allowed names are left out. So are those of test functions, which are read as prose.
    """
    banned, allowed = list(banned), set(allowed)
    inside = sorted(set(definitions(source)))
    for line, name in [(1, stem), *(one for one in inside if not one[1].startswith("test_"))]:
        if name not in allowed and (words := banned_in_name(name, banned)):
            yield line, name, words


def banned_in_prose(text: str, banned: Iterable[Banned]) -> list[str]:
    """Words that a sentence contains although they are banned in prose. Code in backticks is left out before."""
    spoken = {word.lower() for word in re.findall(r"[A-Za-z]+", text)}
    return [one.word for one in banned if one.in_prose and one.word in spoken]
