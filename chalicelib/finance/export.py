"""Exports: the files of a business day, or of one show of it, checked against the orders and published once.

An interim export closes nothing. Publishing survives a crash and a double worker: files are staged under a name made
of their contents, one conditional write decides which stage counts, then whoever comes along copies exactly that to
its place, the manifest last. So nobody sees files of two runs side by side, and a manifest means that all is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chalicelib.checkout import PurchaseStore
from chalicelib.finance.books import LedgerStore
from chalicelib.finance.check import Difference, Orders, Scope, compare, orders_of
from chalicelib.finance.entries import LedgerEntry, entries_of
from chalicelib.finance.files import (
    SCHEMA_VERSION,
    file_facts,
    json_file,
    ledger_file,
    lines_file,
    listed,
    orders_file,
    totals_of,
    units_of,
)
from chalicelib.finance.store import Objects
from chalicelib.instants import Instant, business_day, rfc3339

MANIFEST = "manifest.json"
RECOVERED_DAYS = 3
SOURCES = "sources.txt"
"""Beside a closed day's files: the ledger objects that it has taken in, one key a line."""


@dataclass(slots=True)
class Drafted:
    """What an export will say, before it is decided that it does."""

    scope: Scope
    entries: list[LedgerEntry]
    orders: Orders
    differences: list[Difference]
    late_recorded: int
    sources: list[str]
    late_posted: list[LedgerEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Exporter:
    """Makes exports from the books and the orders."""

    ledger: LedgerStore
    purchases: PurchaseStore
    time_zone: str

    @property
    def objects(self) -> Objects:
        return self.ledger.objects

    def interim(self, scope: Scope, run_id: str, now: Instant) -> dict[str, Any]:
        """Export a day, or one show of it, as it stands; returns the manifest. A repeat answers the same manifest.

        Costs: a scan of all purchases, one GET for each ledger object of the day, 16 PUTs and GETs.
        """
        prefix = f"exports/date={scope.day.isoformat()}/interim/show={scope.show_id or 'all'}/run={run_id}/"
        published = self.manifest_at(prefix)
        if published is not None:
            return published
        decision = f"staging/decided/{run_id}.json"
        if self.objects.read(decision) is None:
            drafted = self.draft(scope, now)
            stage = self.stage(prefix, drafted, {"kind": "interim", "run_id": run_id}, now)
            self.objects.put_if_absent(decision, json_file({"stage": stage}))
        return self.publish(json.loads(self.objects.read(decision) or b"")["stage"], prefix)

    def draft(self, scope: Scope, now: Instant) -> Drafted:
        """Read ledger and orders, write down what the ledger lacks, and say where they differ.

        Ledger first: what arrives in between is then missing (and recorded, harmlessly twice), never unexplained.
        """
        snapshot = self.ledger.read(self.ledger.list_keys(scope.day))
        orders = orders_of(scope, self.purchases.scan())
        missing = [entry for entry_id, entry in orders.entries.items() if entry_id not in snapshot.entries]
        sources = [*snapshot.keys, *self.ledger.post_entries(missing)]
        inside = {entry_id: entry for entry_id, entry in snapshot.entries.items() if scope.has(entry)}
        differences = compare(scope, inside, snapshot.conflicts, orders, self.purchases.read)
        inside |= {entry.id: entry for entry in missing}
        return Drafted(
            scope=scope,
            entries=[inside[entry_id] for entry_id in sorted(inside)],
            orders=orders,
            differences=differences,
            late_recorded=len(missing),
            sources=sources,
        )

    def post_missing_entries(self, now: Instant) -> int:
        """Write down what the ledger lacks of today's and the two days before; returns how many entries that were.

        For orders whose message was lost. Costs a scan of all purchases and one GET for each ledger object of the days.
        """
        today = business_day(now, self.time_zone)
        days = [today - timedelta(days=back) for back in range(RECOVERED_DAYS)]
        snapshot = self.ledger.read(key for day in days for key in self.ledger.list_keys(day))
        wanted = {day.isoformat() for day in days}
        missing = [
            entry
            for purchase in self.purchases.scan()
            for entry in entries_of(purchase, self.time_zone)
            if entry.business_date in wanted and entry.id not in snapshot.entries
        ]
        self.ledger.post_entries(missing)
        return len(missing)

    def stage(self, prefix: str, drafted: Drafted, about: dict[str, Any], now: Instant) -> str:
        """Write an export's files where nobody looks yet, under a name made of their contents; returns where."""
        rows = sorted([*drafted.entries, *drafted.late_posted], key=lambda entry: entry.id)
        files = {
            "orders.csv": orders_file(drafted.orders.paid.values(), self.time_zone),
            "lines.csv": lines_file(rows),
            "ledger.csv": ledger_file(rows),
        }
        manifest = json_file(about | self._facts(prefix, drafted, rows, files, now))
        stage = f"staging/{hashlib.sha256(manifest).hexdigest()[:32]}/"
        files |= {SOURCES: "\n".join(drafted.sources).encode(), MANIFEST: manifest}
        for name, body in files.items():
            self.objects.put(stage + name, body)
        return stage

    def _facts(
        self, prefix: str, drafted: Drafted, rows: Sequence[LedgerEntry], files: dict[str, bytes], now: Instant
    ) -> dict[str, Any]:
        scope = drafted.scope
        return {
            "schema_version": SCHEMA_VERSION,
            "date": scope.day.isoformat(),
            "time_zone": scope.time_zone,
            "show": scope.show_id,
            "created_at": rfc3339(now),
            "watermark": {
                "as_of": rfc3339(now),
                "ledger_objects": len(drafted.sources),
                "ledger_sha256": hashlib.sha256("\n".join(sorted(drafted.sources)).encode()).hexdigest(),
            },
            "files": {name: file_facts(prefix, name, body) for name, body in files.items()},
            "counts": {"orders": len(drafted.orders.paid), "entries": len(rows)},
            "totals": totals_of(rows),
            "units": units_of(rows),
            "late_recorded": drafted.late_recorded,
            "late_posted": {
                "count": len(drafted.late_posted),
                "dates": sorted({entry.business_date for entry in drafted.late_posted}),
            },
            "differences_count": len(drafted.differences),
            "differences": listed(drafted.differences),
        }

    def publish(self, stage: str, prefix: str) -> dict[str, Any]:
        """Copy a decided stage to its place, the manifest last; returns the manifest. Anyone may do it, repeatedly."""
        names = [key.removeprefix(stage) for key in self.objects.keys(stage)]
        for name in [*sorted(name for name in names if name != MANIFEST), MANIFEST]:
            body = self.objects.read(stage + name)
            if body is None:
                raise LookupError(f"the stage {stage} lacks {name}")
            if name == MANIFEST:
                self.objects.put_if_absent(prefix + name, body)
            else:
                self.objects.put(prefix + name, body)
        return self.manifest_at(prefix) or {}

    def manifest_at(self, prefix: str) -> dict[str, Any] | None:
        """The manifest of what was published under a prefix; None when nothing was."""
        body = self.objects.read(prefix + MANIFEST)
        manifest: dict[str, Any] | None = json.loads(body) if body else None
        return manifest
