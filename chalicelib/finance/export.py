"""Exports: the files of a business day, or of one show of it, compared with the orders and published once.

An interim export closes nothing. Publishing survives a crash and a double worker:

1. A worker writes the files to a stage, whose name follows from their contents.
2. One conditional write decides which stage is published.
3. Any worker copies exactly that stage to its place, the manifest last.

So nobody sees files of two runs side by side, and a manifest means that all files are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chalicelib.finance.balance_check import Difference, ExpectedLedger, Scope, expected_ledger, find_differences
from chalicelib.finance.entries import entries_of
from chalicelib.finance.files import (
    SCHEMA_VERSION,
    describe_file,
    difference_records,
    json_file,
    ledger_file,
    lines_file,
    orders_file,
    totals_of,
    units_of,
)
from chalicelib.finance.ledger import LedgerStore
from chalicelib.finance.ledger_entry import LedgerEntry
from chalicelib.finance.movement_entries import movement_entry
from chalicelib.finance.store import ObjectStore
from chalicelib.instants import Instant, business_day, rfc3339
from chalicelib.purchase import PurchaseMovements, PurchaseStore, scan_with_movements

MANIFEST_FILE = "manifest.json"
RECOVERED_DAYS = 3
"""How many days, today included, a recovery checks for missing entries."""
SOURCES_FILE = "sources.txt"
"""A file beside those of a closed day: the keys of the ledger objects that its entries come from, one a line."""


@dataclass(slots=True)
class ExportDraft:
    """The contents of an export before its publication."""

    scope: Scope
    entries: list[LedgerEntry]
    expected: ExpectedLedger
    differences: list[Difference]
    late_recorded: int
    sources: list[str]
    late_posted: list[LedgerEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Exporter:
    """Makes exports from the ledger and the orders."""

    ledger: LedgerStore
    purchases: PurchaseStore
    time_zone: str

    @property
    def object_store(self) -> ObjectStore:
        """The store of the files, which is the ledger's."""
        return self.ledger.object_store

    def export_interim(self, scope: Scope, run_id: str, now: Instant) -> dict[str, Any]:
        """Export the present state of a day, or of one show of it. Return the manifest; a repeat returns the same one.

        Costs a scan of all purchases, one GET for each ledger object of the day, 16 PUTs and GETs.
        """
        prefix = f"exports/date={scope.day.isoformat()}/interim/show={scope.show_id or 'all'}/run={run_id}/"
        published = self.read_manifest(prefix)
        if published is not None:
            return published
        decision = f"staging/decided/{run_id}.json"
        if self.object_store.read(decision) is None:
            export_draft = self.draft(scope, now)
            stage = self.write_stage(prefix, export_draft, {"kind": "interim", "run_id": run_id}, now)
            self.object_store.put_if_absent(decision, json_file({"stage": stage}))
        return self.publish(json.loads(self.object_store.read(decision) or b"")["stage"], prefix)

    def draft(self, scope: Scope, now: Instant) -> ExportDraft:
        """Read the ledger and the orders, post the entries that the ledger lacks, and find differences.

        The ledger is read first. So an entry that arrives in between counts as missing and is posted twice, which is
        harmless. It never counts as unknown.
        """
        snapshot = self.ledger.read(self.ledger.list_keys(scope.day))
        expected = expected_ledger(scope, scan_with_movements(self.purchases))
        missing = [entry for entry_id, entry in expected.entries.items() if entry_id not in snapshot.entries]
        sources = [*snapshot.keys, *self.ledger.post_entries(missing)]
        inside = {entry_id: entry for entry_id, entry in snapshot.entries.items() if scope.includes(entry)}
        differences = find_differences(scope, inside, snapshot.conflicts, expected, self.purchases.read)
        inside |= {entry.id: entry for entry in missing}
        return ExportDraft(
            scope=scope,
            entries=[inside[entry_id] for entry_id in sorted(inside)],
            expected=expected,
            differences=differences,
            late_recorded=len(missing),
            sources=sources,
        )

    def post_missing_entries(self, now: Instant) -> int:
        """Post the entries that the ledger lacks of today and the two days before, and return their number.

        An order or movement lacks entries when its message was lost. Costs a scan of all purchases and movements, and
        one GET for each ledger object of the days.
        """
        today = business_day(now, self.time_zone)
        days = [today - timedelta(days=back) for back in range(RECOVERED_DAYS)]
        snapshot = self.ledger.read(key for day in days for key in self.ledger.list_keys(day))
        wanted = {day.isoformat() for day in days}
        missing = [
            entry
            for moved in scan_with_movements(self.purchases)
            for entry in _entries_of_group(moved, self.time_zone)
            if entry.business_date in wanted and entry.id not in snapshot.entries
        ]
        self.ledger.post_entries(missing)
        return len(missing)

    def write_stage(self, prefix: str, export_draft: ExportDraft, header: dict[str, Any], now: Instant) -> str:
        """Write an export's files to a stage, whose name follows from their contents, and return its prefix."""
        rows = sorted([*export_draft.entries, *export_draft.late_posted], key=lambda entry: entry.id)
        files = {
            "orders.csv": orders_file(export_draft.expected.paid.values(), self.time_zone),
            "lines.csv": lines_file(rows),
            "ledger.csv": ledger_file(rows),
        }
        manifest = json_file(header | self._manifest_fields(prefix, export_draft, rows, files, now))
        stage = f"staging/{hashlib.sha256(manifest).hexdigest()[:32]}/"
        files |= {SOURCES_FILE: "\n".join(export_draft.sources).encode(), MANIFEST_FILE: manifest}
        for name, body in files.items():
            self.object_store.put(stage + name, body)
        return stage

    def _manifest_fields(
        self, prefix: str, export_draft: ExportDraft, rows: Sequence[LedgerEntry], files: dict[str, bytes], now: Instant
    ) -> dict[str, Any]:
        scope = export_draft.scope
        return {
            "schema_version": SCHEMA_VERSION,
            "date": scope.day.isoformat(),
            "time_zone": scope.time_zone,
            "show": scope.show_id,
            "created_at": rfc3339(now),
            "watermark": {
                "as_of": rfc3339(now),
                "ledger_objects": len(export_draft.sources),
                "ledger_sha256": hashlib.sha256("\n".join(sorted(export_draft.sources)).encode()).hexdigest(),
            },
            "files": {name: describe_file(prefix, name, body) for name, body in files.items()},
            "counts": {"orders": len(export_draft.expected.paid), "entries": len(rows)},
            "totals": totals_of(rows),
            "units": units_of(rows),
            "late_recorded": export_draft.late_recorded,
            "late_posted": {
                "count": len(export_draft.late_posted),
                "dates": sorted({entry.business_date for entry in export_draft.late_posted}),
            },
            "differences_count": len(export_draft.differences),
            "differences": difference_records(export_draft.differences),
        }

    def publish(self, stage: str, prefix: str) -> dict[str, Any]:
        """Copy a decided stage to its place, the manifest last, and return the manifest. Any worker may repeat this."""
        names = [key.removeprefix(stage) for key in self.object_store.list_keys(stage)]
        for name in [*sorted(name for name in names if name != MANIFEST_FILE), MANIFEST_FILE]:
            body = self.object_store.read(stage + name)
            if body is None:
                raise LookupError(f"the stage {stage} lacks {name}")
            if name == MANIFEST_FILE:
                self.object_store.put_if_absent(prefix + name, body)
            else:
                self.object_store.put(prefix + name, body)
        return self.read_manifest(prefix) or {}

    def read_manifest(self, prefix: str) -> dict[str, Any] | None:
        """Return the manifest that was published under a prefix; None when none was."""
        body = self.object_store.read(prefix + MANIFEST_FILE)
        manifest: dict[str, Any] | None = json.loads(body) if body else None
        return manifest


def _entries_of_group(moved: PurchaseMovements, time_zone: str) -> Iterator[LedgerEntry]:
    if moved.purchase is not None:
        yield from entries_of(moved.purchase, time_zone)
    for movement in moved.movements:
        yield movement_entry(movement, time_zone)


def manifest_key(manifest: dict[str, Any]) -> str:
    """Return the key of a published manifest, which is beside its files."""
    ledger_key: str = manifest["files"]["ledger.csv"]["key"]
    return ledger_key.removesuffix("ledger.csv") + MANIFEST_FILE
