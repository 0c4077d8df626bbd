"""The files of an export: CSV (RFC 4180) in a stable order, and the sums of its manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from chalicelib.finance.balance_check import Difference
from chalicelib.finance.ledger_entry import COLUMNS, EntryType, LedgerEntry, spreadsheet_safe
from chalicelib.ids import order_id
from chalicelib.instants import business_day, rfc3339
from chalicelib.purchase import Purchase, completed_refunds, lost_amount

SCHEMA_VERSION = 2
MAX_LISTED_DIFFERENCES = 1_000
"""A manifest counts every difference and lists the first thousand."""

_LINE_COLUMNS = (
    "id",
    "entry_type",
    "order_id",
    "line_id",
    "drop_id",
    "sku",
    "show_id",
    "channel",
    "creator_id",
    "quantity",
    "unit_price",
    "gross",
    "discount",
    "net",
    "tax",
    "tax_rate_bps",
    "tax_jurisdiction",
    "tax_remitter",
    "commission",
    "commission_bps",
    "amount",
    "currency",
    "occurred_at",
    "business_date",
)
_REFUND_ENTRY_TYPES = (EntryType.REFUND, EntryType.REFUND_FAILED)
_LINE_ENTRY_TYPES = (EntryType.SALE, *_REFUND_ENTRY_TYPES)
_SUMMED_COLUMNS = ("quantity", "gross", "discount", "net", "tax", "shipping", "fee", "commission", "amount", "clearing")


def csv_file(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return rows as CSV with a header: UTF-8, CRLF, quotes where needed, and empty cells for absent values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def ledger_file(entries: Sequence[LedgerEntry]) -> bytes:
    """Return the file of every entry with every column."""
    return csv_file(COLUMNS, (entry.to_record() for entry in entries))


def lines_file(entries: Sequence[LedgerEntry]) -> bytes:
    """Return the file of the entries of lines: sales, refunds, and refunds that failed later."""
    of_lines = (entry for entry in entries if entry.entry_type in _LINE_ENTRY_TYPES and entry.line_id is not None)
    return csv_file(_LINE_COLUMNS, (entry.to_record() for entry in of_lines))


_ORDER_COLUMNS = (
    "order_id",
    "show_id",
    "channel",
    "platform",
    "campaign",
    "market",
    "currency",
    "state",
    "lines",
    "units",
    "subtotal",
    "shipping",
    "tax",
    "tax_on_top",
    "total",
    "refunded",
    "units_refunded",
    "lost",
    "provider",
    "payment_id",
    "charge_id",
    "placed_at",
    "paid_at",
    "cancelled_at",
    "business_date",
)


def orders_file(purchases: Iterable[Purchase], time_zone: str) -> bytes:
    """Return the file of orders, one row each, in their state at the export. No personal data."""
    rows = (_order_row(purchase, time_zone) for purchase in sorted(purchases, key=lambda one: one.id))
    return csv_file(_ORDER_COLUMNS, rows)


def _order_row(purchase: Purchase, time_zone: str) -> dict[str, Any]:
    totals, payment = purchase.totals, purchase.payment
    refunds = completed_refunds(purchase)
    paid_at = purchase.paid_at or 0
    return {
        "order_id": order_id(purchase.id),
        "show_id": purchase.show_id,
        "channel": spreadsheet_safe(purchase.channel or purchase.attribution.get("channel")),
        "platform": spreadsheet_safe(purchase.platform),
        "campaign": spreadsheet_safe(purchase.attribution.get("campaign")),
        "market": purchase.market,
        "currency": purchase.currency,
        "state": str(purchase.state),
        "lines": len(purchase.lines),
        "units": sum(line.quantity for line in purchase.lines),
        "subtotal": totals.subtotal,
        "shipping": totals.shipping,
        "tax": totals.tax,
        "tax_on_top": totals.tax_on_top,
        "total": totals.total,
        "refunded": sum(refund.amount for refund in refunds),
        "units_refunded": sum(part.quantity for refund in refunds for part in refund.lines),
        "lost": lost_amount(purchase),
        "provider": payment.provider if payment else None,
        "payment_id": payment.provider_id if payment else None,
        "charge_id": payment.charge_id if payment else None,
        "placed_at": rfc3339(purchase.placed_at) if purchase.placed_at is not None else None,
        "paid_at": rfc3339(paid_at),
        "cancelled_at": rfc3339(purchase.cancelled_at) if purchase.cancelled_at is not None else None,
        "business_date": business_day(paid_at, time_zone).isoformat(),
    }


def totals_of(entries: Iterable[LedgerEntry]) -> dict[str, dict[str, dict[str, int]]]:
    """Return the sums by currency and entry type, with the number of rows."""
    totals: dict[str, dict[str, dict[str, int]]] = {}
    for entry in entries:
        by_type = totals.setdefault(entry.currency, {})
        sums = by_type.setdefault(str(entry.entry_type), dict.fromkeys(("rows", *_SUMMED_COLUMNS), 0))
        sums["rows"] += 1
        for name in _SUMMED_COLUMNS:
            sums[name] += getattr(entry, name)
    return {currency: dict(sorted(by_type.items())) for currency, by_type in sorted(totals.items())}


def units_of(entries: Iterable[LedgerEntry]) -> dict[str, int]:
    """Return the units sold, and those refunded by refunds that did not fail later. Both are positive."""
    sold = refunded = 0
    for entry in entries:
        if entry.entry_type is EntryType.SALE:
            sold += entry.quantity
        elif entry.entry_type in _REFUND_ENTRY_TYPES:
            refunded -= entry.quantity
    return {"sold": sold, "refunded": refunded}


def describe_file(prefix: str, name: str, body: bytes) -> dict[str, Any]:
    """Return the manifest's description of a file: its key, rows below the header, bytes and hash."""
    rows = sum(1 for _ in csv.reader(io.StringIO(body.decode(), newline=""))) - 1
    return {"key": prefix + name, "rows": rows, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def difference_records(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Return differences as the manifest lists them."""
    return [asdict(one) for one in differences[:MAX_LISTED_DIFFERENCES]]


def json_file(record: Mapping[str, Any]) -> bytes:
    """Return a record as indented JSON."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()
