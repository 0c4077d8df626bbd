"""Show the progress of a rehearsal: a bar on a terminal, and a few lines for each stage elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

_LINES_PER_STAGE: Final = 4


class Progress:
    """The progress of one stage after the other, each with a number of jobs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=console)
        self._stage, self._total, self._done = "", 0, 0

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, stage: str, total: int) -> None:
        """Begin the next stage."""
        self._stage, self._total, self._done = stage, total, 0
        if self._bar:
            self._task = self._bar.add_task(stage, total=total)
        elif total:
            self._console.print(f"{stage}: {total} to do")

    def advance(self) -> None:
        """Count one job as done."""
        self._done += 1
        if self._bar:
            self._bar.advance(self._task)
        elif self._done % max(1, self._total // _LINES_PER_STAGE) == 0:
            self._console.print(f"{self._stage}: {self._done} of {self._total}")
