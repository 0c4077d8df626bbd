"""Ledger entries of a purchase, in money and units."""

from __future__ import annotations

import json
from typing import Any

from chalicelib.finance import EntryType, LedgerEntry, entries_of
from chalicelib.finance.balance_check import is_balanced
from chalicelib.finance.ledger_entry import spreadsheet_safe
from chalicelib.money import tax_within
from chalicelib.purchase import PurchaseState
from tests.builders.paid_orders import (
    PAID_AT,
    PERSONAL,
    TIME_ZONE,
    a_paid_line,
    a_paid_order,
    with_refund,
    with_tax_on_top,
)


def figures(entry: LedgerEntry) -> dict[str, Any]:
    """Return the figures of an entry that are not zero."""
    names = ("quantity", "gross", "net", "tax", "shipping", "fee", "commission", "amount")
    return {name: getattr(entry, name) for name in names if getattr(entry, name)}


def test_paid_order_has_a_row_for_each_line_and_for_shipping() -> None:
    sale, shipping = entries_of(a_paid_order(), TIME_ZONE)
    assert (sale.id, shipping.id) == ("P1.sale.li_1", "P1.shipping")
    assert sale.entry_type is EntryType.SALE
    assert figures(sale) == {
        "quantity": 2,
        "gross": 2_550,
        "net": 2_125,
        "tax": 425,
        "commission": 213,
        "amount": 2_550,
    }
    assert figures(shipping) == {"shipping": 395, "net": 329, "tax": 66, "amount": 395}
    assert (sale.order_id, sale.show_id, sale.channel, sale.creator_id) == ("ord_P1", "tonight", "own-site", "ada-live")
    assert (sale.tax_rate_bps, sale.tax_jurisdiction, sale.tax_remitter) == (2_000, "GB", "shop")
    assert (sale.occurred_at, sale.business_date) == ("2026-11-27T19:00:00.000Z", "2026-11-27")


def test_tax_on_top_is_paid_in_addition_to_the_gross() -> None:
    sale, shipping = entries_of(with_tax_on_top(a_paid_order()), TIME_ZONE)
    assert figures(sale) == {
        "quantity": 2,
        "gross": 2_550,
        "net": 2_550,
        "tax": 510,
        "commission": 255,
        "amount": 3_060,
    }
    assert figures(shipping) == {"shipping": 395, "net": 395, "tax": 79, "amount": 474}


def test_discount_has_its_own_column_beside_the_gross() -> None:
    """Gross less discount is net and tax where prices include the tax. Elsewhere it is net."""
    line = a_paid_line(discount=255, tax=tax_within(2_295, 2_000))
    order = a_paid_order(lines=(line,))
    less = {"discount": 255, "total": order.totals.total - 255, "tax": order.totals.tax}
    order = order.model_copy(update={"totals": order.totals.model_copy(update=less)})
    sale, shipping = entries_of(order, TIME_ZONE)
    assert (sale.gross, sale.discount, sale.net, sale.tax) == (2_550, 255, 1_912, 383)
    assert (sale.amount, sale.gross - sale.discount, sale.commission) == (2_295, 2_295, 191)
    assert shipping.discount == 0
    assert is_balanced(order, entries_of(order, TIME_ZONE))
    sale, *_ = entries_of(with_tax_on_top(a_paid_order(lines=(a_paid_line(discount=255),))), TIME_ZONE)
    assert sale.gross - sale.discount == sale.net == 2_295
    assert sale.amount == sale.net + sale.tax


def test_unpaid_order_has_no_entries() -> None:
    assert entries_of(a_paid_order(state=PurchaseState.PLACED, paid_at=None), TIME_ZONE) == ()


def test_refund_has_the_figures_of_the_sale_with_opposite_signs() -> None:
    order = with_refund(a_paid_order(), ("li_1", 1), shipping=True)
    back, shipping = entries_of(order, TIME_ZONE)[2:]
    assert back.entry_type is EntryType.REFUND
    assert figures(back) == {
        "quantity": -1,
        "gross": -1_275,
        "net": -1_063,
        "tax": -212,
        "commission": -106,
        "amount": -1_275,
    }
    assert shipping.entry_type is EntryType.SHIPPING_REFUND
    assert figures(shipping) == {"shipping": -395, "net": -329, "tax": -66, "amount": -395}
    assert (back.refund_id, back.provider_refund_id) == ("rf_1", "re_1")


def test_pending_refund_has_no_entry_and_entries_are_named_by_their_refund() -> None:
    waiting = with_refund(with_refund(a_paid_order(), ("li_1", 1), done_at=None), ("li_1", 1), shipping=True)
    assert [entry.id for entry in entries_of(waiting, TIME_ZONE)][2:] == [
        "P1.refund.rf_2.li_1",
        "P1.refund.rf_2.shipping",
    ]


def test_entry_belongs_to_the_day_of_the_shops_time_zone() -> None:
    summer_night = PAID_AT - 150 * 86_400_000 + 4 * 3_600_000 + 1_800_000
    order = a_paid_order(paid_at=summer_night)
    assert {entry.business_date for entry in entries_of(order, TIME_ZONE)} == {"2026-07-01"}
    assert {entry.business_date for entry in entries_of(order, "UTC")} == {"2026-06-30"}


def test_entries_have_no_personal_data() -> None:
    order = with_refund(a_paid_order(), ("li_1", 2), shipping=True)
    text = json.dumps([entry.to_record() for entry in entries_of(order, TIME_ZONE)])
    assert [word for word in PERSONAL if word in text] == []


def test_name_from_outside_is_neither_a_formula_nor_an_address() -> None:
    assert spreadsheet_safe('=HYPERLINK("http://x")') == "_HYPERLINK__http:__x__"
    assert spreadsheet_safe("ada@example.com") == "ada_example.com"
    assert spreadsheet_safe("-1+2") == "_1_2"
    assert spreadsheet_safe("spring.sale_1") == "spring.sale_1"
    assert spreadsheet_safe("x" * 99) == "x" * 64
    assert spreadsheet_safe("") is None
