"""Export runs: finance or the schedule requests one, a worker makes its files, and finance lists the runs of a day."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib.errors import BadInput, Conflict, IdempotencyConflict, LivedropError
from chalicelib.finance.balance_check import Scope
from chalicelib.finance.close import DayCloser
from chalicelib.finance.export import manifest_key
from chalicelib.finance.store import ExportQueue, ExportRunStore
from chalicelib.instants import Clock, Instant, business_day

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SCHEDULED = "schedule"


class RunState(StrEnum):
    """The state of a run. The queue retries a ``FAILED`` one; a repeated request retries it too."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ExportRun(BaseModel):
    """One requested export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    date: str
    show_id: str | None = None
    close: bool = False
    """True closes the day. False is an interim export, which closes nothing."""
    state: RunState = RunState.REQUESTED
    requested_by: str
    requested_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    manifest_key: str | None = None
    orders: int | None = None
    entries: int | None = None
    differences: int | None = None
    error: str | None = None


def parse_day(text: str, field: str = "date") -> date:
    """Parse a calendar day, ``YYYY-MM-DD``.

    Raises: ``BadInput`` with the field.
    """
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadInput(f"`{field}` must be a calendar day: YYYY-MM-DD.", field=field)


@dataclass(frozen=True, slots=True)
class Exports:
    """Export runs as finance, the worker and the schedule use them."""

    runs: ExportRunStore
    queue: ExportQueue
    day_closer: DayCloser

    def request_export(
        self, day: date, show_id: str | None, key: str, actor: str, now: Instant, *, close: bool = False
    ) -> ExportRun:
        """Request an export, once for each idempotency key of an actor. The worker makes its files.

        A repeat returns the present run. It enqueues the run again until it is done, as the message may be lost. Costs
        three writes at most.

        Raises: ``IdempotencyConflict`` for a key of another request; ``Conflict`` when the day has not begun, or is to
        be closed and is not over; ``BadInput`` for closing one show.
        """
        if close and show_id is not None:
            raise BadInput("`$.show_id` must be absent with `close`: a whole day is closed.", field="$.show_id")
        today = business_day(now, self.day_closer.exporter.time_zone)
        if today < day:
            raise Conflict(f"{day} has not begun yet. Request it once it has.", field="$.date", code="day_not_begun")
        if close and today == day:
            raise Conflict(f"{day} is not over yet. Close it once it is over.", field="$.date", code="day_not_over")
        run = ExportRun(
            id=_digest(actor, key)[:16],
            date=day.isoformat(),
            show_id=show_id,
            close=close,
            requested_by=actor,
            requested_at=now,
        )
        return self._create_and_enqueue(run, _digest(actor, key))

    def _create_and_enqueue(self, run: ExportRun, key: str) -> ExportRun:
        requested = {"date": run.date, "show_id": run.show_id, "close": run.close}
        idempotency_record = self.runs.claim_idempotency_key(key, requested)
        if idempotency_record is not None and idempotency_record != {
            name: value for name, value in requested.items() if value is not None
        }:
            raise IdempotencyConflict
        existing = self.runs.create(run.model_dump())
        if existing is not None:
            run = ExportRun.model_validate(existing)
        if run.state is not RunState.DONE:
            self.queue.send(run.date, run.id)
        return run

    def runs_of_day(self, day: date) -> list[ExportRun]:
        """Return the runs of a day, latest first. One query."""
        runs = (ExportRun.model_validate(record) for record in self.runs.list_of_day(day.isoformat()))
        return sorted(runs, key=lambda run: (-run.requested_at, run.id))

    def manifest_of(self, run: ExportRun) -> dict[str, Any] | None:
        """Return the manifest of a finished run; None before. One GET."""
        if run.manifest_key is None:
            return None
        body = self.day_closer.exporter.object_store.read(run.manifest_key)
        manifest: dict[str, Any] | None = json.loads(body) if body else None
        return manifest

    def run_export(self, day: str, run_id: str, clock: Clock) -> ExportRun | None:
        """Make the files of a run and store its result. Repeatable, also beside another worker.

        Returns None for an unknown run. Raises the error of a failed run, which is then ``failed`` with the code of the
        error; the queue retries it.
        """
        record = self.runs.read(day, run_id)
        if record is None:
            return None
        run = ExportRun.model_validate(record)
        if run.state is RunState.DONE:
            return run
        now = clock()
        run = self._update(run, state=RunState.RUNNING, started_at=now, error=None)
        try:
            manifest = self._make_files(run, now)
        except Exception as error:
            code = error.code if isinstance(error, LivedropError) else type(error).__name__
            self._update(run, state=RunState.FAILED, error=code)
            raise
        return self._update(
            run,
            state=RunState.DONE,
            finished_at=clock(),
            manifest_key=manifest_key(manifest),
            orders=manifest["counts"]["orders"],
            entries=manifest["counts"]["entries"],
            differences=manifest["differences_count"],
        )

    def close_due_days(self, clock: Clock) -> list[ExportRun]:
        """Close yesterday, and days of the week before it that were left open, in order. Repeatable."""
        runs, now = [], clock()
        for day in self.day_closer.due_days(now):
            run = ExportRun(id=SCHEDULED, date=day.isoformat(), close=True, requested_by=SCHEDULED, requested_at=now)
            self.runs.create(run.model_dump())
            finished = self.run_export(run.date, run.id, clock)
            if finished is not None:
                runs.append(finished)
        return runs

    def _make_files(self, run: ExportRun, now: Instant) -> dict[str, Any]:
        day = date.fromisoformat(run.date)
        if run.close:
            return self.day_closer.close_day(day, now)
        exporter = self.day_closer.exporter
        return exporter.export_interim(Scope(day, exporter.time_zone, run.show_id), run.id, now)

    def _update(self, run: ExportRun, **changes: Any) -> ExportRun:
        """Store a change of the run and return it; if another worker changed the run meanwhile, return that state."""
        updated = run.model_copy(update=changes)
        if self.runs.update(updated.model_dump(), run.state):
            return updated
        existing = self.runs.read(run.date, run.id)
        return ExportRun.model_validate(existing) if existing else updated


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
