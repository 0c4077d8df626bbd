"""The ledger: entries in S3, one object of lines for each batch and business day, never changed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from chalicelib.finance.ledger_entry import LedgerEntry
from chalicelib.finance.store import ObjectStore


@dataclass(slots=True)
class LedgerSnapshot:
    """Entries that were read, by id, and the ids of those that the ledger has with different contents."""

    entries: dict[str, LedgerEntry] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)

    def add(self, entry: LedgerEntry) -> None:
        """Add an entry. Of two with one id the smaller text wins, so that every reader agrees."""
        existing = self.entries.setdefault(entry.id, entry)
        if existing != entry:
            self.conflicts.add(entry.id)
            self.entries[entry.id] = min(existing, entry, key=LedgerEntry.to_json_line)


def ledger_prefix(day: date) -> str:
    """Return the prefix of a business day's ledger objects."""
    return f"ledger/date={day.isoformat()}/"


@dataclass(frozen=True, slots=True)
class LedgerStore:
    """The store of ledger entries."""

    object_store: ObjectStore

    def post_entries(self, entries: Iterable[LedgerEntry]) -> list[str]:
        """Write entries, one object for each business day, named by its contents. Return the keys.

        A repeat of the same batch writes the same objects. The same entry in another batch is a duplicate, which
        :meth:`read` removes. One PUT for each day.
        """
        by_day: dict[str, dict[str, LedgerEntry]] = defaultdict(dict)
        for entry in entries:
            by_day[entry.business_date][entry.id] = entry
        return [self._write(date.fromisoformat(day), batch) for day, batch in sorted(by_day.items())]

    def _write(self, day: date, batch: dict[str, LedgerEntry]) -> str:
        lines = [batch[entry_id].to_json_line() for entry_id in sorted(batch)]
        body = ("\n".join(lines) + "\n").encode()
        key = f"{ledger_prefix(day)}{hashlib.sha256(body).hexdigest()[:32]}.ndjson"
        self.object_store.put(key, body)
        return key

    def list_keys(self, day: date) -> list[str]:
        """Return the keys of a day's ledger objects."""
        return self.object_store.list_keys(ledger_prefix(day))

    def read(self, keys: Iterable[str]) -> LedgerSnapshot:
        """Read the entries of ledger objects, without duplicates. One GET for each object."""
        snapshot = LedgerSnapshot(keys=sorted(keys))
        for _, body in self.object_store.read_all(snapshot.keys):
            for line in body.decode().removesuffix("\n").split("\n"):
                snapshot.add(LedgerEntry.from_record(json.loads(line)))
        return snapshot
