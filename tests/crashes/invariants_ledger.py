"""Invariant 7: the ledger and the files of closed days are the orders' money, to the minor unit."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator

from chalicelib.purchase import Purchase, PurchaseState
from tests.crashes.invariants_money import refunded_amount
from tests.crashes.snapshot import Snapshot
from tests.fakes.aws import Record


def ledger_violations(state: Snapshot) -> Iterator[str]:
    entries = state.ledger_rows()
    for entry_id, rows in entries.items():
        if any(row != rows[0] for row in rows):
            yield f"the ledger has two of {entry_id}"
    of: dict[str, list[Record]] = {}
    for rows in entries.values():
        of.setdefault(rows[0]["order_id"].removeprefix("ord_"), []).append(rows[0])
    yield from (
        f"the ledger knows {purchase_id}, nobody else does" for purchase_id in of.keys() - state.purchases.keys()
    )
    for purchase in state.purchases.values():
        yield from _entry_violations(purchase, of.get(purchase.id, []))


def _entry_violations(purchase: Purchase, rows: list[Record]) -> Iterator[str]:
    if purchase.state is not PurchaseState.PAID:
        if rows:
            yield f"the ledger has {len(rows)} rows of {purchase.id}, which is {purchase.state}"
        return
    amounts, units = Counter[str](), Counter[str]()
    for row in rows:
        amounts[row["entry_type"]] += row["amount"]
        units[row["entry_type"]] += row["quantity"]
    bought = sum(line.quantity for line in purchase.lines)
    refunded_units = sum(part.quantity for refund in purchase.refunds for part in refund.lines)
    if (units["sale"], units["refund"]) != (bought, -refunded_units):
        yield f"{purchase.id}: the ledger has {dict(units)}, the order {bought} bought and {refunded_units} refunded"
    if amounts["sale"] + amounts["shipping"] != purchase.totals.total:
        yield f"{purchase.id}: the ledger says {dict(amounts)}, the order {purchase.totals.total}"
    if amounts["refund"] + amounts["shipping_refund"] != -refunded_amount(purchase):
        yield f"{purchase.id}: the ledger says {dict(amounts)}, refunds were {refunded_amount(purchase)}"
    fees = sum(row["fee"] for row in rows)
    if purchase.payment is None or fees != purchase.payment.fee:
        yield f"{purchase.id}: fees of {fees} in the ledger"


def export_violations(objects: dict[str, bytes]) -> Iterator[str]:
    """Where a manifest stands, its files stand too, as it says."""
    for key, body in objects.items():
        if not (key.startswith("exports/date=") and key.endswith("/manifest.json")):
            continue
        for name, facts in json.loads(body)["files"].items():
            found = objects.get(facts["key"], b"")
            if hashlib.sha256(found).hexdigest() != facts["sha256"] or len(_rows(found)) != facts["rows"]:
                yield f"{key} does not describe {name}"


def _rows(body: bytes) -> list[Record]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def closed_day_violations(state: Snapshot) -> Iterator[str]:
    """All days are closed: each entry stands in one closed file, and the files add up to the orders' money."""
    closes = [json.loads(body) for key, body in sorted(state.objects.items()) if key.startswith("exports/closes/")]
    if len({close["date"] for close in closes}) < len(closes):
        yield "a day was closed twice"
    for close in closes:
        manifest = json.loads(state.objects.get(f"exports/date={close['date']}/revision=1/manifest.json", b"{}"))
        if not manifest or manifest["differences_count"]:
            yield f"{close['date']} was not closed, or with differences: {manifest.get('differences')}"
    rows = closed_ledger_rows(state)
    if Counter(row["id"] for row in rows) != Counter(state.ledger_rows().keys()):
        yield f"closed files have {sorted(row['id'] for row in rows)}, the ledger {sorted(state.ledger_rows())}"
    amount = sum(int(row["amount"]) for row in rows)
    paid = [purchase for purchase in state.purchases.values() if purchase.state is PurchaseState.PAID]
    money = sum(purchase.totals.total - refunded_amount(purchase) for purchase in paid)
    if amount != money:
        yield f"closed files add up to {amount}, orders to {money}"


def closed_ledger_rows(state: Snapshot) -> list[Record]:
    """The rows of all closed days."""
    ledgers = [key for key in state.objects if "/revision=" in key and key.endswith("/ledger.csv")]
    return [row for key in ledgers for row in _rows(state.objects[key])]


def event_violations(state: Snapshot) -> Iterator[str]:
    events_by_id: dict[str, Record] = {}
    for event in state.events:
        if events_by_id.setdefault(event["id"], event) != event:
            yield f"two events are called {event['id']}"
        purchase = state.purchases.get(event["subject"].removeprefix("ord_"))
        if purchase is None or purchase.state is not PurchaseState.PAID:
            yield f"{event['id']} tells of an order that is not paid"
