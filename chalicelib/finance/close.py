"""Close a business day: make its files once. An entry that comes later is posted to the next day that is closed.

Closings form one numbered log (``exports/closes/000001.json``). Each number is written once, and only when the closing
before it is complete. So every closing knows exactly which entries earlier ones have. No entry is lost and none is
posted twice, even when closings run at the same time or die halfway.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from chalicelib.errors import Conflict, WriteConflict
from chalicelib.finance.balance_check import Scope
from chalicelib.finance.export import SOURCES_FILE, Exporter
from chalicelib.finance.files import json_file
from chalicelib.finance.ledger_entry import LedgerEntry, entry_id_of
from chalicelib.instants import Instant, business_day

MAX_LATE_DAYS = 35
"""For how many days after its closing a day may get late entries. Queues keep a message for 14 days."""
MAX_CATCH_UP_DAYS = 7
"""How many days before yesterday the scheduled closing also closes."""
_MAX_ATTEMPTS = 8
_LOG_PREFIX = "exports/closes/"


@dataclass(frozen=True, slots=True)
class ClosingRecord:
    """One entry of the log: the closed day, and the stage of which its files are copies."""

    number: int
    day: date
    stage: str

    @property
    def prefix(self) -> str:
        """The prefix of the day's files."""
        return closed_prefix(self.day)


def closed_prefix(day: date) -> str:
    """Return the prefix of a closed day's files."""
    return f"exports/date={day.isoformat()}/revision=1/"


@dataclass(frozen=True, slots=True)
class DayCloser:
    """Closes days."""

    exporter: Exporter

    def close_day(self, day: date, now: Instant) -> dict[str, Any]:
        """Close a business day that is over, and return its manifest. A repeat returns the first manifest.

        Costs an interim export of the day, and one LIST and two GETs for each closing of the last weeks.

        Raises: ``Conflict`` (``day_not_over``) until the day is over in the shop's time zone; ``WriteConflict`` when
        other days are closed again and again meanwhile.
        """
        if business_day(now, self.exporter.time_zone) <= day:
            raise Conflict(
                f"{day} is not over in {self.exporter.time_zone}. Close it once it is over.",
                field="date",
                code="day_not_over",
            )
        for _ in range(_MAX_ATTEMPTS):
            manifest = self._try_close(day, now)
            if manifest is not None:
                return manifest
        raise WriteConflict("Other days are being closed at this moment. Retry later.")

    def manifest(self, day: date) -> dict[str, Any] | None:
        """Return the manifest of a closed day; None for an open one."""
        return self.exporter.read_manifest(closed_prefix(day))

    def due_days(self, now: Instant) -> list[date]:
        """Return the days that the scheduled closing has to close, in order: yesterday, and earlier ones left open.

        An earlier day is due only if a day before it was closed, or if it has entries. So no day before the shop began
        is due.
        """
        yesterday = business_day(now, self.exporter.time_zone) - timedelta(days=1)
        closed = {close.day for close in self._read_log()}
        earlier = [yesterday - timedelta(days=back) for back in range(MAX_CATCH_UP_DAYS, 0, -1)]
        due_days = [day for day in earlier if day not in closed and self._has_begun(day, closed)]
        return due_days if yesterday in closed else [*due_days, yesterday]

    def _has_begun(self, day: date, closed: Iterable[date]) -> bool:
        return any(other < day for other in closed) or bool(self.exporter.ledger.list_keys(day))

    def _try_close(self, day: date, now: Instant) -> dict[str, Any] | None:
        """Close a day as the next in the log; None when the log has changed meanwhile."""
        published = self.manifest(day)
        if published is not None:
            return published
        log = self._read_log()
        if log and self.exporter.read_manifest(log[-1].prefix) is None:
            self.exporter.publish(log[-1].stage, log[-1].prefix)
            return None
        if any(close.day == day for close in log):
            return None
        number = log[-1].number + 1 if log else 1
        export_draft = self.exporter.draft(Scope(day, self.exporter.time_zone), now)
        export_draft.late_posted, late_sources = self._late_entries(day, log)
        export_draft.sources += late_sources
        header = {"kind": "close", "revision": 1, "number": number}
        stage = self.exporter.write_stage(closed_prefix(day), export_draft, header, now)
        entry = json_file({"number": number, "date": day.isoformat(), "stage": stage})
        if not self.exporter.object_store.put_if_absent(f"{_LOG_PREFIX}{number:06d}.json", entry):
            return None
        return self.exporter.publish(stage, closed_prefix(day))

    def _read_log(self) -> list[ClosingRecord]:
        """Return the latest closings in order: those of all days that may get late entries."""
        keys = self.exporter.object_store.list_keys(_LOG_PREFIX)[-(MAX_LATE_DAYS + MAX_CATCH_UP_DAYS) :]
        records = (json.loads(body) for _, body in self.exporter.object_store.read_all(keys))
        return [ClosingRecord(one["number"], date.fromisoformat(one["date"]), one["stage"]) for one in records]

    def _late_entries(self, day: date, log: list[ClosingRecord]) -> tuple[list[LedgerEntry], list[str]]:
        """Return the entries of closed days that no closing has, and the ledger objects that were read for them."""
        known_keys = set[str]()
        for close in log:
            known_keys |= set(
                (self.exporter.object_store.read(close.prefix + SOURCES_FILE) or b"").decode().split("\n")
            )
        late: list[LedgerEntry] = []
        sources: list[str] = []
        for close in log:
            if close.day < day - timedelta(days=MAX_LATE_DAYS):
                continue
            new_keys = [key for key in self.exporter.ledger.list_keys(close.day) if key not in known_keys]
            if not new_keys:
                continue
            sources += new_keys
            exported_ids = self._exported_ids(close.day, log)
            late += [
                entry
                for entry_id, entry in self.exporter.ledger.read(new_keys).entries.items()
                if entry_id not in exported_ids
            ]
        return late, sources

    def _exported_ids(self, day: date, log: list[ClosingRecord]) -> set[str]:
        """Return the ids of a closed day's entries that any closing has: its own, or a later one."""
        ids = set[str]()
        for close in log:
            manifest = self.exporter.read_manifest(close.prefix) or {}
            if close.day == day or day.isoformat() in manifest.get("late_posted", {}).get("dates", []):
                ledger_csv = self.exporter.object_store.read(f"{close.prefix}ledger.csv") or b""
                ids |= {entry_id_of(row) for row in csv.DictReader(io.StringIO(ledger_csv.decode(), newline=""))}
        return ids
