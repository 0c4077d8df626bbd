"""Read the names that Python files define, and split them into words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

CODE = ("app.py", "chalicelib", "infra", "tests")

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ENDINGS = ("iations", "iation", "ations", "ation", "ates", "ate", "ies", "ing", "ed", "es", "e", "y", "s")


def words_of(name: str) -> tuple[str, ...]:
    """Split a name in snake, camel or kebab case into words in lower case."""
    return tuple(part.lower() for part in _PART.findall(name))


@cache
def stem(word: str) -> str:
    """Cut a word's usual ending off, so that ``expiry`` and ``expired`` are one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


def contains(name: str, words: tuple[str, ...]) -> bool:
    """Whether these words follow each other in a name."""
    parts = words_of(name)
    return any(parts[start : start + len(words)] == words for start in range(len(parts) - len(words) + 1))


def is_found_by(term: str, names: Iterable[str]) -> bool:
    """Whether a search for a term, whatever the endings, meets one of the names."""
    wanted = tuple(stem(word) for word in words_of(term))
    return any(contains("_".join(stem(word) for word in words_of(name)), wanted) for name in names)


def definitions(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module names: functions, classes, fields, parameters, variables."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)) | ast.ClassDef(name=str(name)):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
                | ast.alias(asname=str(name))
            ):
                yield node.lineno, name


def symbols(source: str) -> set[str]:
    """Name what a module defines at its top and in its classes: ``function``, ``CONSTANT``, ``Class.member``."""
    return set(_members(ast.parse(source).body, ""))


def _members(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.ClassDef(name=name, body=inner):
                yield prefix + name
                yield from _members(inner, f"{prefix}{name}.")
            case ast.Assign(targets=targets):
                yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
            case ast.If(body=inner, orelse=other) | ast.Try(body=inner, orelse=other):
                yield from _members([*inner, *other], prefix)


@cache
def searchable_names(library: Path) -> frozenset[str]:
    """Names of the packages, modules, classes and functions below a folder."""
    found: set[str] = set()
    for path in library.rglob("*.py"):
        found |= {path.stem, path.parent.name} - {"__init__"}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
    return frozenset(found)


def python_files(root: Path) -> list[Path]:
    """The project's own Python files."""
    return [
        path
        for start in CODE
        for path in ([root / start] if start.endswith(".py") else sorted((root / start).rglob("*.py")))
    ]
