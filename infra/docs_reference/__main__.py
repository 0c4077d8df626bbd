"""Rewrite the reference pages from the code."""

from __future__ import annotations

import logging

from infra.docs_reference.collectors import COLLECTORS
from infra.docs_reference.pages import pages, rewritten, unexplained
from infra.paths import ROOT


def main() -> None:
    """Rewrite each page that differs, and name it. Name the rows that still need an explanation."""
    logging.disable()
    for page in pages():
        before = page.read_text()
        after = rewritten(before, COLLECTORS)
        if after != before:
            page.write_text(after)
            print(f"{page.relative_to(ROOT)}: rewritten")
        for row in unexplained(after):
            print(f"{page.relative_to(ROOT)}: explain {row}")


if __name__ == "__main__":
    main()
