"""Interim exports: complete, compared with the orders, published once."""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import date
from typing import Any

from chalicelib.finance import entries_of
from chalicelib.finance.balance_check import Scope
from tests.builders.paid_orders import (
    NEXT_DAY,
    PAID_AT,
    PERSONAL,
    TIME_ZONE,
    a_paid_line,
    a_paid_order,
    store_purchases,
    with_refund,
)
from tests.finance.conftest import FinanceFixture

DAY = date(2026, 11, 27)
NOW = PAID_AT + 3_600_000
ALL = Scope(DAY, TIME_ZONE)
TONIGHT = Scope(DAY, TIME_ZONE, "tonight")


def csv_rows(finance: FinanceFixture, manifest: dict[str, Any], name: str) -> list[dict[str, str]]:
    body = finance.exporter.object_store.read(manifest["files"][name]["key"]) or b""
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def store_and_post(finance: FinanceFixture, *orders: Any) -> None:
    """Store orders in the table and post them to the ledger."""
    store_purchases(finance.purchases, *orders)
    for order in orders:
        finance.ledger.post_entries(entries_of(order, TIME_ZONE))


def test_export_has_every_order_line_and_entry_of_its_day(finance: FinanceFixture) -> None:
    order = with_refund(a_paid_order("P1", lines=(a_paid_line(1), a_paid_line(2, quantity=1))), ("li_1", 1))
    store_and_post(finance, order, a_paid_order("P2"), a_paid_order("P3", paid_at=NEXT_DAY))
    manifest = finance.exporter.export_interim(ALL, "run1", NOW)
    assert manifest["files"]["orders.csv"]["key"] == "exports/date=2026-11-27/interim/show=all/run=run1/orders.csv"
    orders, lines, ledger = (csv_rows(finance, manifest, f"{name}.csv") for name in ("orders", "lines", "ledger"))
    assert [(row["order_id"], row["total"], row["refunded"]) for row in orders] == [
        ("ord_P1", "4220", "1275"),
        ("ord_P2", "2945", "0"),
    ]
    assert [(row["id"], row["entry_type"], row["quantity"], row["gross"]) for row in lines] == [
        ("P1.refund.rf_1.li_1", "refund", "-1", "-1275"),
        ("P1.sale.li_1", "sale", "2", "2550"),
        ("P1.sale.li_2", "sale", "1", "1275"),
        ("P2.sale.li_1", "sale", "2", "2550"),
    ]
    assert [row["id"] for row in ledger] == [
        *("P1.refund.rf_1.li_1", "P1.sale.li_1", "P1.sale.li_2", "P1.shipping"),
        *("P2.sale.li_1", "P2.shipping"),
    ]
    assert manifest["units"] == {"sold": 5, "refunded": 1}
    assert manifest["totals"]["GBP"]["sale"]["gross"] == 6_375
    assert manifest["totals"]["GBP"]["refund"]["amount"] == -1_275
    assert (manifest["late_recorded"], manifest["differences"]) == (0, [])


def test_manifest_describes_each_file(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order())
    manifest = finance.exporter.export_interim(ALL, "run1", NOW)
    assert sorted(manifest["files"]) == ["ledger.csv", "lines.csv", "orders.csv"]
    for facts in manifest["files"].values():
        body = finance.exporter.object_store.read(facts["key"]) or b""
        assert (facts["bytes"], facts["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
        assert facts["rows"] == body.count(b"\r\n") - 1


def test_export_of_a_show_has_no_entry_of_another(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"), a_paid_order("P2", show_id="matinee"))
    manifest = finance.exporter.export_interim(TONIGHT, "run1", NOW)
    assert manifest["files"]["lines.csv"]["key"].startswith("exports/date=2026-11-27/interim/show=tonight/run=run1/")
    assert {row["order_id"] for row in csv_rows(finance, manifest, "ledger.csv")} == {"ord_P1"}
    assert [row["order_id"] for row in csv_rows(finance, manifest, "orders.csv")] == ["ord_P1"]
    assert (manifest["show"], manifest["differences"]) == ("tonight", [])


def test_files_have_no_personal_data(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order())
    finance.exporter.export_interim(ALL, "run1", NOW)
    text = b"".join(finance.contents("").values()).decode()
    assert [word for word in PERSONAL if word in text] == []


def test_missing_entries_are_posted_before_the_export_and_counted(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    manifest = finance.exporter.export_interim(ALL, "run1", NOW)
    assert (manifest["late_recorded"], manifest["counts"]) == (2, {"orders": 1, "entries": 2})
    ledger = finance.ledger.read(finance.ledger.list_keys(DAY)).entries
    assert ledger == {entry.id: entry for entry in entries_of(a_paid_order(), TIME_ZONE)}
    assert finance.exporter.export_interim(ALL, "run2", NOW)["late_recorded"] == 0


def test_order_that_differs_from_its_entry_is_a_difference(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order())
    store_purchases(finance.purchases, a_paid_order(lines=(a_paid_line(unit_price=1_274),)))
    (difference,) = finance.exporter.export_interim(ALL, "run1", NOW)["differences"]
    assert (difference["kind"], difference["entry_id"]) == ("mismatch", "P1.sale.li_1")
    assert difference["columns"] == ["unit_price", "gross", "net", "commission", "amount"]


def test_order_whose_lines_do_not_add_up_is_a_difference(finance: FinanceFixture) -> None:
    order = a_paid_order()
    wrong = order.model_copy(update={"totals": order.totals.model_copy(update={"total": 2_946})})
    store_and_post(finance, wrong)
    (difference,) = finance.exporter.export_interim(ALL, "run1", NOW)["differences"]
    assert (difference["kind"], difference["order_id"]) == ("unbalanced", "ord_P1")


def test_entry_without_an_order_is_a_difference(finance: FinanceFixture) -> None:
    finance.ledger.post_entries(entries_of(a_paid_order("GHOST"), TIME_ZONE))
    manifest = finance.exporter.export_interim(ALL, "run1", NOW)
    assert {(one["kind"], one["order_id"]) for one in manifest["differences"]} == {("unknown", "ord_GHOST")}
    assert manifest["differences_count"] == 2


def test_two_entries_of_one_id_are_a_difference(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order())
    finance.ledger.post_entries(entries_of(a_paid_order(lines=(a_paid_line(quantity=3),)), TIME_ZONE))
    kinds = {one["kind"] for one in finance.exporter.export_interim(ALL, "run1", NOW)["differences"]}
    assert "conflict" in kinds


def test_repeated_run_returns_its_first_manifest(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"))
    first = finance.exporter.export_interim(ALL, "run1", NOW)
    before = finance.contents("exports/")
    store_and_post(finance, a_paid_order("P2"))
    assert finance.exporter.export_interim(ALL, "run1", NOW + 1) == first
    assert finance.contents("exports/") == before
    assert finance.exporter.export_interim(ALL, "run2", NOW + 1)["counts"]["orders"] == 2


def test_empty_day_exports_headers_and_zeros(finance: FinanceFixture) -> None:
    manifest = finance.exporter.export_interim(ALL, "run1", NOW)
    assert (manifest["counts"], manifest["totals"]) == ({"orders": 0, "entries": 0}, {})
    assert {facts["rows"] for facts in manifest["files"].values()} == {0}


def test_recovery_posts_missing_entries_of_the_last_days(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"))
    store_purchases(finance.purchases, a_paid_order("P2"), a_paid_order("OLD", paid_at=PAID_AT - 9 * 86_400_000))
    assert finance.exporter.post_missing_entries(NOW) == 2
    assert finance.exporter.post_missing_entries(NOW) == 0
    assert "P2.sale.li_1" in finance.ledger.read(finance.ledger.list_keys(DAY)).entries
