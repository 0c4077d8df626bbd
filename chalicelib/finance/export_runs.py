"""Export runs: asked for by finance or the schedule, carried out by a worker, looked up by day."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from chalicelib import aws
from chalicelib.errors import BadInput, Conflict, IdempotencyConflict, LivedropError, Unavailable
from chalicelib.finance.balance_check import Scope
from chalicelib.finance.close import DayCloser
from chalicelib.finance.store import ExportQueue, ExportRunStore
from chalicelib.instants import Clock, Instant, business_day

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SCHEDULED = "schedule"


class RunState(StrEnum):
    """Where a run stands. A ``FAILED`` one is tried again by its queue, or by repeating the request."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ExportRun(BaseModel):
    """One export that was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    date: str
    show_id: str | None = None
    close: bool = False
    """Closes the day; else an interim export that closes nothing."""
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
    """A calendar day as ``YYYY-MM-DD``. ``BadInput`` naming the field."""
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadInput("A date must be a calendar day as YYYY-MM-DD.", field=field)


@dataclass(frozen=True, slots=True)
class Exports:
    """Exports of orders and ledger, as finance uses them."""

    runs: ExportRunStore
    queue: ExportQueue
    day_closer: DayCloser

    def request_export(
        self, day: date, show_id: str | None, key: str, actor: str, now: Instant, *, close: bool = False
    ) -> ExportRun:
        """Ask for an export, once for each idempotency key of an actor; the worker carries it out.

        A repeat answers the run as it now stands, and enqueues it again while it is not done: its message may be lost.
        ``IdempotencyConflict``. ``Conflict``: the day has not begun, or it is to be closed and is not over.
        Three writes at most.
        """
        if close and show_id is not None:
            raise BadInput("A day is closed whole, not one show of it.", field="$.show_id")
        today = business_day(now, self.day_closer.exporter.time_zone)
        if today < day:
            raise Conflict(f"{day} has not begun yet.", field="$.date", code="day_not_begun")
        if close and today == day:
            raise Conflict(f"{day} is not over yet.", field="$.date", code="day_not_over")
        run = ExportRun(
            id=_digest(actor, key)[:16],
            date=day.isoformat(),
            show_id=show_id,
            close=close,
            requested_by=actor,
            requested_at=now,
        )
        try:
            return self._create_and_enqueue(run, _digest(actor, key))
        except aws.AWS_ERRORS as error:
            raise Unavailable("Exports cannot be reached; ask again with the same key.") from error

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
        """The runs of a day, latest first. ``manifest_key`` names the manifest of a finished one; one query."""
        try:
            runs = [ExportRun.model_validate(record) for record in self.runs.list_of_day(day.isoformat())]
        except aws.AWS_ERRORS as error:
            raise Unavailable("Exports cannot be reached.") from error
        return sorted(runs, key=lambda run: (-run.requested_at, run.id))

    def manifest_of(self, run: ExportRun) -> dict[str, Any] | None:
        """The manifest of a finished run; None while there is none. One GET."""
        if run.manifest_key is None:
            return None
        try:
            body = self.day_closer.exporter.object_store.read(run.manifest_key)
        except aws.AWS_ERRORS as error:
            raise Unavailable("Exports cannot be reached.") from error
        manifest: dict[str, Any] | None = json.loads(body) if body else None
        return manifest

    def run_export(self, day: str, run_id: str, clock: Clock) -> ExportRun | None:
        """The worker: make the export and note when and what came of it. Safe to repeat, also beside another worker.

        None for a run nobody asked for. Raises when it must be tried again; then the run says ``failed`` and why.
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
            manifest_key=manifest["files"]["ledger.csv"]["key"].replace("ledger.csv", "manifest.json"),
            orders=manifest["counts"]["orders"],
            entries=manifest["counts"]["entries"],
            differences=manifest["differences_count"],
        )

    def close_due_days(self, clock: Clock) -> list[ExportRun]:
        """Close yesterday, and up to a week of days before it that were left open, in order. Repeatable."""
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
        """The run changed, unless another worker of the same run has moved it: then as it stands."""
        updated = run.model_copy(update=changes)
        if self.runs.update(updated.model_dump(), run.state):
            return updated
        existing = self.runs.read(run.date, run.id)
        return ExportRun.model_validate(existing) if existing else updated


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
