"""Count the files that one request touches, and how often control changes file on the way.

``python -m tests.architecture.trace_files`` prints the table. ``--path`` prints every change of file.

At the release before the rooms were named (`ae43c25`) the figures were: create 38 files and 126 changes, complete 38
and 105, capture 24 and 56, ledger 10 and 30. The goal was half; ``test_files_touched.py`` has what was reached.

Two figures a use case:

- *files*: files of ``chalicelib`` of which at least one named function was called;
- *changes*: calls of a named function that is defined in another file than the named function called before it. The
  first call counts as one. A return is no call, so a caller that goes on working counts with its next call.

Comprehensions, lambdas and modules are no named functions. A generator counts each time it is resumed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

TEST = Path(__file__).with_name("test_files_touched.py")


@dataclass
class Trace:
    """Calls of named functions below one folder, in their order."""

    folder: Path
    uncounted: frozenset[str] = frozenset()
    """Files that are left out, relative to the folder."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """File and function of each call."""

    def run(self, act: Callable[[], Any]) -> Any:
        """Call ``act`` in this thread, and note the calls that it makes."""
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            return act()
        finally:
            sys.setprofile(before)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        prefix = f"{self.folder}/"
        if event != "call" or not code.co_filename.startswith(prefix) or code.co_name.startswith("<"):
            return
        path = code.co_filename.removeprefix(prefix)
        if path not in self.uncounted:
            self.calls.append((path, code.co_qualname))

    @property
    def files(self) -> list[str]:
        """Files of which a function was called."""
        return sorted({path for path, _ in self.calls})

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Calls that went to another file than the call before them."""
        before = [("", ""), *self.calls]
        return [call for last, call in zip(before, self.calls, strict=False) if last[0] != call[0]]


class _Printer:
    """A pytest plugin that prints what the traced test recorded, and why it failed."""

    def __init__(self, *, path: bool) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            print(report.longreprtext)
        if report.when != "call":
            return
        print(f"{'use case':<10}{'files':>7}{'changes':>9}")
        for name, recorded in report.user_properties:
            trace = cast("dict[str, Any]", recorded)
            print(f"{name:<10}{trace['files']:>7}{len(trace['changes']):>9}")
            if self.path:
                print("\n".join(f"  {call}" for call in trace["changes"]))


def main() -> int:
    """Run the traced test alone and print its figures."""
    parser = argparse.ArgumentParser(description="Count the files that one request touches.")
    parser.add_argument("--path", action="store_true", help="print every change of file")
    printer = _Printer(path=parser.parse_args().path)
    quiet = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    return int(pytest.main([*quiet, f"{TEST}::test_each_use_case_stays_in_few_files"], plugins=[printer]))


if __name__ == "__main__":
    sys.exit(main())
