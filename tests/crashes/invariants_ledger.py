"""Check Invariants 4d, 5d, 7a, 7c and 7d: ledger, closed files and events agree with the orders."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator

from chalicelib.purchase import Purchase, PurchaseState
from tests.crashes.invariants_money import lost_amount, refunded_amount, refunds_done
from tests.crashes.snapshot import Snapshot
from tests.fakes.aws import Record


def ledger_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariants 5d and 7a: the entries of an order add up to its money and its units."""
    entries = state.ledger_rows()
    for entry_id, rows in entries.items():
        if any(row != rows[0] for row in rows):
            yield f"the ledger has two different rows with id {entry_id}"
    rows_by_purchase: dict[str, list[Record]] = {}
    for entry_id, rows in entries.items():
        if rows[0]["entry_type"].startswith(MOVEMENT):
            yield from _movement_violations(entry_id, rows[0])
            continue
        rows_by_purchase.setdefault(rows[0]["order_id"].removeprefix("ord_"), []).append(rows[0])
    yield from (
        f"the ledger has rows of the unknown purchase {purchase_id}"
        for purchase_id in rows_by_purchase.keys() - state.purchases.keys()
    )
    for purchase in state.purchases.values():
        yield from _entry_violations(purchase, rows_by_purchase.get(purchase.id, []))


def _movement_violations(entry_id: str, row: Record) -> Iterator[str]:
    """A movement changes the balance at the provider, and neither money nor units of its order."""
    if row["amount"] or row["quantity"] or not row["clearing"]:
        yield f"{entry_id}: a movement of {row['clearing']} says {row['amount']} and {row['quantity']} units"
    if not entry_id.endswith(f".{row['balance_transaction']}"):
        yield f"{entry_id}: the movement {row['balance_transaction']} of {row['order_id']}"


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
    refunded_units = sum(part.quantity for refund in refunds_done(purchase) for part in refund.lines)
    if (units["sale"], units["refund"] + units["refund_failed"]) != (bought, -refunded_units):
        yield f"{purchase.id}: the ledger has {dict(units)}, the order {bought} bought and {refunded_units} refunded"
    if amounts["sale"] + amounts["shipping"] != purchase.totals.total:
        yield f"{purchase.id}: the ledger says {dict(amounts)}, the order {purchase.totals.total}"
    if sum(amounts[kind] for kind in _REFUNDS) != -refunded_amount(purchase):
        yield f"{purchase.id}: the ledger says {dict(amounts)}, refunds were {refunded_amount(purchase)}"
    if amounts["chargeback"] + amounts["chargeback_reversed"] != -lost_amount(purchase):
        yield f"{purchase.id}: the ledger says {dict(amounts)}, disputes took {lost_amount(purchase)}"


def clearing_violations(state: Snapshot, followed_until: int) -> Iterator[str]:
    """Check that each movement of the provider's balance is in the ledger once, and that the sums are equal."""
    entries = [rows[0] for rows in state.ledger_rows().values() if rows[0]["entry_type"].startswith(MOVEMENT)]
    posted = Counter(row["balance_transaction"] for row in entries)
    yield from (f"the ledger has {name} {times} times" for name, times in posted.items() if times > 1)
    moved = {movement.id: movement for movement in state.movements}
    for row in entries:
        movement = moved.get(row["balance_transaction"])
        if movement is None or movement.net != row["clearing"]:
            yield f"the ledger has {row['clearing']} for {row['balance_transaction']}, the provider {movement}"
    missing = [name for name, one in moved.items() if one.created_at < followed_until and name not in posted]
    if missing:
        yield f"the ledger lacks the movements {missing}"


MOVEMENT = "movement_"
"""How the type of an entry begins that is about a movement of the provider's balance."""
_REFUNDS = ("refund", "shipping_refund", "refund_failed", "shipping_refund_failed")


def export_violations(objects: dict[str, bytes]) -> Iterator[str]:
    """Check Invariant 7c: a manifest describes its files."""
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
    """Check Invariant 7d, once all days are closed: each entry is in one closed file, and the files add up."""
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
    money = sum(purchase.totals.total - refunded_amount(purchase) - lost_amount(purchase) for purchase in paid)
    if amount != money:
        yield f"closed files add up to {amount}, orders to {money}"


def closed_ledger_rows(state: Snapshot) -> list[Record]:
    """Return the rows of all closed days."""
    ledgers = [key for key in state.objects if "/revision=" in key and key.endswith("/ledger.csv")]
    return [row for key in ledgers for row in _rows(state.objects[key])]


def event_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariant 4d: one content for each event id, and events of paid orders only."""
    events_by_id: dict[str, Record] = {}
    for event in state.events:
        if events_by_id.setdefault(event["id"], event) != event:
            yield f"two different events have the id {event['id']}"
        purchase = state.purchases.get(event["subject"].removeprefix("ord_"))
        if purchase is None or purchase.state is not PurchaseState.PAID:
            yield f"{event['id']} is about an order that is not paid"
