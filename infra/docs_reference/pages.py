"""Put what the code says between the markers of a page, and keep what people wrote beside it.

A block begins with ``<!-- from the code: NAME -->`` and ends with ``<!-- end -->``. A collector yields either the
whole text of its block, or the first columns of a table. The other columns of that table are written by hand in the
page. They are kept by the row's first cell. A row that is new gets :data:`MISSING` in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.paths import ROOT

DOCS: Final = ROOT / "infra" / "docs"
COMMAND: Final = "python -m infra.docs_reference"
MISSING: Final = "?"
_BLOCK = re.compile(r"(<!-- from the code: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Rows:
    """The first cells of each row of a table. The first cell of a row names it."""

    cells: Sequence[tuple[str, ...]]


Collector = Callable[[], Rows | str]


def rewritten(source: str, collectors: Mapping[str, Collector]) -> str:
    """The page with every block as the code has it. ``KeyError`` for a block without a collector."""

    def block(found: re.Match[str]) -> str:
        content = collectors[found[2]]()
        return found[1] + (content if isinstance(content, str) else _table(found[3], content)) + found[4]

    return _BLOCK.sub(block, source)


def unexplained(source: str) -> list[str]:
    """Rows of a page's blocks that lack a cell written by hand."""
    rows = (row for found in _BLOCK.finditer(source) for row in found[3].splitlines())
    return [row for row in rows if any(cell in {"", MISSING} for cell in _cells(row))]


def _table(current: str, rows: Rows) -> str:
    head, rule, *kept = current.splitlines()
    generated = len(rows.cells[0])
    by_hand = len(_cells(head)) - generated
    written = {_cells(row)[0]: _cells(row)[generated:] for row in kept}
    lines = [(*cells, *written.get(cells[0], [MISSING] * by_hand)) for cells in rows.cells]
    return "\n".join([head, rule, *(f"| {' | '.join(cells)} |" for cells in lines)]) + "\n"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(row.strip())[1:-1]]


def pages() -> list[Path]:
    """The pages that have blocks."""
    return [path for path in sorted(DOCS.rglob("*.md")) if _BLOCK.search(path.read_text())]
