"""Collect the prose of the repository: docstrings, comments, messages, test names, documents and descriptions."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
Reader = Callable[[str], Iterator[tuple[str, int, str]]]
"""Yields kind, line and text of each passage of a source text."""

CODE = ("app.py", "chalicelib", "infra", "tests")
DOCUMENTS = ("README.md", "infra/**/*.md", "tests/*.md")
TEMPLATES = ("infra/**/template.yaml",)
PATTERNS = "tests/architecture/"
"""The folder whose string literals name flagged phrases and so are no prose."""

_DIRECTIVE = re.compile(r"^#+[!:]?\s*(?:(?:noqa|type:|ruff:|fmt:|mypy:|pragma:)[^-]*(?:-\s+|$))?")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*[.,;:!?)]*|[“\"(]+[A-Za-z][A-Za-z'’-]*[.,;:!?\")”]*")
_PLACEHOLDER = "`x`"


@dataclass(frozen=True)
class Passage:
    """A piece of prose as it is written, and where it starts."""

    area: str
    kind: str
    path: str
    line: int
    text: str


def collect(root: Path) -> Iterator[Passage]:
    """Yield every passage of the tree below ``root``, whatever its version."""
    for area, path, read in _sources(root):
        name = path.relative_to(root).as_posix()
        for kind, line, text in read(path.read_text()):
            if not (kind == "message" and name.startswith(PATTERNS)):
                yield Passage(area, kind, name, line, text)


def _sources(root: Path) -> Iterator[tuple[str, Path, Reader]]:
    """Yield the area, the path and the reader of each file."""
    for start in CODE:
        found = [root / start] if start.endswith(".py") else sorted((root / start).rglob("*.py"))
        yield from (("chalicelib" if start == "app.py" else start, path, python_passages) for path in found)
    for pattern in DOCUMENTS:
        yield from (("documents", path, markdown_passages) for path in sorted(root.glob(pattern)))
    for pattern in TEMPLATES:
        yield from (("template", path, template_passages) for path in sorted(root.glob(pattern)))


_TABLE = re.compile(r"^ *=+(?: +=+)+\n.*\n *=+(?: +=+)+$", flags=re.MULTILINE | re.DOTALL)
"""A table in a docstring: its cells are no sentences."""


def python_passages(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield kind, line and text of the docstrings, comments, messages and test names of a module."""
    tree = ast.parse(source)
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            if id(node) in documented:
                yield "docstring", node.lineno, _TABLE.sub("\n", node.value)
            elif is_sentence(node.value):
                yield "message", node.lineno, node.value
        elif isinstance(node, ast.JoinedStr) and is_sentence(text := _joined(node)):
            yield "message", node.lineno, text
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield "test name", node.lineno, node.name.removeprefix("test_").replace("_", " ")
    for line, text in _comments(source):
        yield "comment", line, text


def _joined(node: ast.JoinedStr) -> str:
    parts = (str(part.value) if isinstance(part, ast.Constant) else _PLACEHOLDER for part in node.values)
    return "".join(parts)


def is_sentence(text: str) -> bool:
    """Whether a string literal is text for a reader, and no key, path, expression or test datum."""
    tokens = text.split()
    words = [token for token in tokens if _WORD.fullmatch(token) or _PLACEHOLDER in token or "`" in token]
    small = [word for word in words if word[0].islower() or word[0] in '`"(“']
    return len(words) >= 3 and len(words) >= 0.75 * len(tokens) and len(small) >= 2


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Join comments on lines of their own that follow each other; give the others one by one."""
    lines = source.splitlines()
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, column = token.start
        text = _DIRECTIVE.sub("", token.string).strip()
        alone = not lines[line - 1][:column].strip()
        if block and not (alone and line == last + 1):
            yield first, "\n".join(block)
            block = []
        if not block:
            first = line
        block.append(text)
        last = line if alone else 0
    if block:
        yield first, "\n".join(block)


def markdown_passages(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield headings and paragraphs of a document, without code blocks and tables."""
    block: list[str] = []
    first = 1
    fenced = False
    for number, line in enumerate([*source.splitlines(), ""], start=1):
        fence = line.lstrip().startswith("```")
        heading = re.match(r"#+\s+(.*)", line)
        if fence or fenced or heading or line.lstrip().startswith(("|", "<!--")) or not line.strip():
            if any(block):
                yield "paragraph", first, "\n".join(block)
            block = []
            if heading and not fenced:
                yield "heading", number, heading.group(1)
            fenced ^= fence
            continue
        if not block:
            first = number
        block.append(line)


def template_passages(source: str) -> Iterator[tuple[str, int, str]]:
    """Yield the descriptions and comments of a CloudFormation template."""
    for number, line in enumerate(source.splitlines(), start=1):
        if found := re.search(r"(?:^|\s)#\s+(.*)", line):
            yield "comment", number, found.group(1)
    root = yaml.compose(source, Loader=yaml.SafeLoader)
    nodes = [root] if root is not None else []
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                nodes.append(value)
                if str(key.value).endswith("Description") and isinstance(value, yaml.ScalarNode):
                    yield "description", value.start_mark.line + 1, str(value.value)
