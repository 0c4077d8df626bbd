"""Rows become invoices, and each cancellation is matched with an order."""

from __future__ import annotations

from infra.rehearse.demand import Demand, demand
from infra.rehearse.orders import parse
from tests.rehearse.test_orders import HEADER, a_csv_line


def demand_of(*lines: str) -> Demand:
    wanted = demand(parse(HEADER + "".join(lines)))
    assert wanted.accepted + len(wanted.refused) == wanted.read == len(lines)
    return wanted


def a_cancellation(quantity: str = "-2", customer: str = "12452.0", price: str = "1.65", code: str = "22554") -> str:
    return a_csv_line(invoice="C9", quantity=quantity, customer=customer, price=price, code=code)


def test_lines_of_one_article_in_one_invoice_are_merged() -> None:
    wanted = demand_of(a_csv_line(quantity="2"), a_csv_line(code="22555"), a_csv_line(quantity="3"))
    (invoice,) = wanted.invoices
    assert invoice.units == {("22554", 165): 5, ("22555", 165): 12}
    assert wanted.goods_amount == 17 * 165


def test_one_sku_at_two_prices_makes_two_articles() -> None:
    (invoice,) = demand_of(a_csv_line(quantity="2"), a_csv_line(quantity="3", price="1.45")).invoices
    assert invoice.units == {("22554", 165): 2, ("22554", 145): 3}


def test_stock_codes_in_either_case_merge_only_at_the_same_price() -> None:
    wanted = demand_of(a_csv_line(code="84997d"), a_csv_line(code="84997D"), a_csv_line(code="84997d", price="2.1"))
    assert wanted.invoices[0].units == {("84997D", 165): 24, ("84997D", 210): 12}


def test_invoices_are_ordered_by_time() -> None:
    wanted = demand_of(
        a_csv_line(invoice="2", date="2011-11-25 09:00:00"), a_csv_line(invoice="1", date="2011-11-25 08:00:00")
    )
    assert [invoice.number for invoice in wanted.invoices] == ["1", "2"]


def test_two_customers_with_one_invoice_number_are_two_buyers() -> None:
    wanted = demand_of(a_csv_line(customer="1"), a_csv_line(customer="2"))
    assert [invoice.customer for invoice in wanted.invoices] == ["1", "2"]


def test_title_is_the_first_non_empty_description_or_the_sku() -> None:
    wanted = demand_of(a_csv_line(title=""), a_csv_line(title="LATER"), a_csv_line(code="22555", title=""))
    assert wanted.titles == {("22554", 165): "LATER", ("22555", 165): "22555"}


def test_cancellation_refunds_the_earliest_order_of_its_customer() -> None:
    wanted = demand_of(
        a_csv_line(invoice="2", date="2011-11-25 09:00:00"),
        a_csv_line(invoice="1", date="2011-11-25 08:00:00"),
        a_cancellation("-12"),
        a_cancellation("-1"),
    )
    assert [(one.row, one.position, one.quantity) for one in wanted.cancellations] == [(3, 0, 12), (4, 1, 1)]
    assert wanted.goods_amount == 24 * 165


def test_merged_lines_can_be_cancelled_together() -> None:
    wanted = demand_of(a_csv_line(quantity="2"), a_csv_line(quantity="3"), a_cancellation("-5"))
    assert [one.quantity for one in wanted.cancellations] == [5]


def test_cancellation_in_lower_case_matches_its_order() -> None:
    wanted = demand_of(a_csv_line(code="84997D"), a_cancellation(code="84997d"))
    assert len(wanted.cancellations) == 1


def test_cancellation_of_more_units_than_any_order_has_left_is_unmatched() -> None:
    wanted = demand_of(a_csv_line(), a_csv_line(invoice="2"), a_cancellation("-13"))
    assert [(one.row, one.reason) for one in wanted.refused] == [
        (3, "unmatched cancellation: no order of customer 12452 has 13 of 22554 at 1.65 left")
    ]


def test_cancellation_of_another_customer_price_or_sku_is_unmatched() -> None:
    wanted = demand_of(
        a_csv_line(), a_cancellation(customer="99"), a_cancellation(price="1.66"), a_cancellation(code="22555")
    )
    assert [one.reason for one in wanted.refused] == [
        "unmatched cancellation: customer 99 ordered no 22554 at 1.65",
        "unmatched cancellation: customer 12452 ordered no 22554 at 1.66",
        "unmatched cancellation: customer 12452 ordered no 22555 at 1.65",
    ]


def test_two_guests_are_not_one_customer() -> None:
    wanted = demand_of(a_csv_line(customer=""), a_cancellation(customer=""))
    assert [one.reason for one in wanted.refused] == [
        "unmatched cancellation: no customer, so no order is known for 2 of 22554 at 1.65"
    ]


def test_row_beyond_the_maximum_stock_of_a_drop_is_refused() -> None:
    wanted = demand_of(a_csv_line(quantity="600000"), a_csv_line(quantity="500000"), a_csv_line(quantity="400000"))
    assert [one.row for one in wanted.refused] == [2]
    assert wanted.units == 1_000_000
