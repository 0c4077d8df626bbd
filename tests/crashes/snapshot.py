"""The stored state of an account, read without the product's stores and sorted by subject."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

from chalicelib.aws import to_item
from chalicelib.purchase import Purchase, purchase_from_item
from tests.crashes.crash_world import CrashWorld
from tests.fakes.aws import Record
from tests.independent_counts import is_sold
from tests.providers import MovementRecord, PaymentRecord


@dataclass(frozen=True)
class Snapshot:
    """Raw tables and objects."""

    buckets: dict[str, dict[int, Record]]
    """By drop or budget, and by bucket number."""
    drops: dict[str, Record]
    discounts: dict[str, Record]
    listed: set[tuple[str, str]]
    """Pairs of a show and a drop that it lists."""
    plans: dict[str, list[Record]]
    """The records of finished stock plans, by drop."""
    audits: dict[str, list[int]]
    """Revisions of each show and drop that have an audit item."""
    revisions: dict[str, int]
    purchases: dict[str, Purchase]
    declines: dict[str, Record]
    """Counted declines, by velocity key."""
    risks: dict[str, Record]
    """By drop."""
    payments: list[PaymentRecord]
    movements: list[MovementRecord]
    objects: dict[str, bytes]
    events: list[Record]

    def units_sold_to(self, purchase: Purchase) -> dict[str, dict[str, int]]:
        """Return the units sold to a purchase, by drop or budget, and by hold."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for drop, buckets in self.buckets.items():
            for bucket in buckets.values():
                for hold, entry in bucket["h"].items():
                    if is_sold(entry) and entry.get("o", "")[:9] == purchase.order_ref:
                        found[drop][hold] = entry["q"]
        return found

    def ledger_rows(self) -> dict[str, list[Record]]:
        """Return the rows of the ledger, by id."""
        found: dict[str, list[Record]] = defaultdict(list)
        for key, body in sorted(self.objects.items()):
            if key.startswith("ledger/"):
                for line in body.decode().splitlines():
                    row = json.loads(line)
                    assert f"date={row['business_date']}/" in key
                    found[row["id"]].append(row)
        return found


def take_snapshot(world: CrashWorld) -> Snapshot:
    fake_aws = world.fake_aws
    buckets: dict[str, dict[int, Record]] = defaultdict(dict)
    for bucket in fake_aws.records("stock"):
        drop, _, number = bucket["pk"].rpartition("#")
        buckets[drop][int(number)] = bucket
    state = Snapshot(
        buckets,
        {},
        {},
        set(),
        defaultdict(list),
        defaultdict(list),
        {},
        {},
        {},
        {},
        list(world.provider.payments(fake_aws)),
        list(world.provider.movements(fake_aws)),
        fake_aws.objects(),
        fake_aws.events,
    )
    for record in fake_aws.records("commerce"):
        sort_key = record["sk"]
        if sort_key == "PURCHASE":
            purchase = purchase_from_item(to_item(record))
            state.purchases[purchase.id] = purchase
            continue
        subject = record["pk"].partition("#")[2]
        counted = {"DECLINES": state.declines, "RISK": state.risks}.get(sort_key, {})
        counted[subject] = record
        if sort_key in {"DROP", "SHOW", "OFFER"}:
            state.revisions[subject] = record["revision"]
        if sort_key == "OFFER":
            state.discounts[subject] = record
        elif sort_key == "DROP":
            state.drops[subject] = record
        elif sort_key.startswith("DROP#") and "drop_id" in record:  # a limit has none
            state.listed.add((subject, record["drop_id"]))
        elif sort_key.startswith("PLAN#"):
            state.plans[subject].append(record)
        elif sort_key.startswith("AUDIT#"):
            state.audits[record["subject"]].append(int(sort_key.rpartition("#")[2]))
    return state
