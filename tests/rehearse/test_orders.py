"""Each row of a file is accepted, or refused with a reason."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from infra.rehearse.command import SAMPLE
from infra.rehearse.demand import demand
from infra.rehearse.orders import BadOrdersFile, ParsedRows, Row, load, parse

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def a_csv_line(
    invoice: str = "578001",
    code: str = "22554",
    title: str = "PLASTERS",
    quantity: str = "12",
    date: str = "2011-11-25 08:05:00",
    price: str = "1.65",
    customer: str = "12452.0",
    country: str = "United Kingdom",
) -> str:
    return ",".join((invoice, code, title, quantity, date, price, customer, country)) + "\n"


def parsed(*lines: str) -> ParsedRows:
    return parse(HEADER + "".join(lines))


def reasons(lines: ParsedRows) -> list[tuple[int, str]]:
    return [(one.row, one.reason) for one in lines.refused]


def test_valid_row_is_read_exactly() -> None:
    lines = parsed(a_csv_line())
    assert lines.sales == (
        Row(1, "578001", "22554", "PLASTERS", 12, datetime(2011, 11, 25, 8, 5), 165, "12452", "United Kingdom"),  # noqa: DTZ001
    )
    assert (lines.read, lines.cancellations, lines.refused) == (1, (), ())
    assert lines.sales[0].amount == 1980


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (a_csv_line(invoice=""), "InvoiceNo is missing"),
        (a_csv_line(code=""), "StockCode is missing"),
        (a_csv_line(code="POST"), "StockCode POST is no article: postage, fee or manual line"),
        (a_csv_line(code="M"), "StockCode M is no article: postage, fee or manual line"),
        (a_csv_line(code="BANK CHARGES"), "StockCode BANK CHARGES is no article: postage, fee or manual line"),
        (a_csv_line(code="C2"), "StockCode C2 is no article: postage, fee or manual line"),
        (a_csv_line(code="2255"), "StockCode 2255 is no article: postage, fee or manual line"),
        (a_csv_line(quantity=""), "Quantity is missing"),
        (a_csv_line(quantity="0"), "Quantity is 0"),
        (a_csv_line(quantity="-3"), "Quantity -3 without a cancellation: a stock adjustment"),
        (a_csv_line(quantity="1.5"), "Quantity 1.5 is not a whole number"),
        (a_csv_line(quantity="many"), "Quantity many is not a whole number"),
        (a_csv_line(quantity="nan"), "Quantity nan is not a whole number"),
        (a_csv_line(quantity="1000001"), "Quantity 1000001 is over 1000000"),
        (a_csv_line(price=""), "UnitPrice is missing"),
        (a_csv_line(price="0"), "UnitPrice 0 is below one penny: a sample, gift or write-off"),
        (a_csv_line(price="0.001"), "UnitPrice 0.001 is below one penny: a sample, gift or write-off"),
        (a_csv_line(price="-1.65"), "UnitPrice -1.65 is below one penny: a sample, gift or write-off"),
        (a_csv_line(price="1.655"), "UnitPrice 1.655 is not a whole number of pence"),
        (a_csv_line(price="free"), "UnitPrice free is not a number"),
        (a_csv_line(price="inf"), "UnitPrice inf is not a number"),
        (a_csv_line(price="1000000.01"), "UnitPrice 1000000.01 is over a million"),
        (a_csv_line(date=""), "InvoiceDate is missing"),
        (a_csv_line(date="25/11/2011 08:05"), "InvoiceDate 25/11/2011 08:05 is not a date such as 2011-11-25 08:12:00"),
        (
            a_csv_line(date="2011-02-30 08:05:00"),
            "InvoiceDate 2011-02-30 08:05:00 is not a date such as 2011-11-25 08:12:00",
        ),
        (a_csv_line(invoice="C5", quantity="2"), "Quantity 2 in a cancellation is not negative"),
        (
            a_csv_line(invoice="C5", code="POST", quantity="-1"),
            "StockCode POST is no article: postage, fee or manual line",
        ),
        ("578001,22554\n", "has 2 cells where the header has 8"),
        (a_csv_line(title="PLASTERS, BLUE"), "has 9 cells where the header has 8"),
    ],
)
def test_bad_row_is_refused_with_its_reason_and_other_rows_are_read(bad: str, reason: str) -> None:
    lines = parsed(a_csv_line(), bad, a_csv_line(code="22555"))
    assert reasons(lines) == [(2, reason)]
    assert [row.number for row in lines.sales] == [1, 3]
    assert lines.read == 3


@pytest.mark.parametrize(
    ("good", "quantity", "pence"),
    [
        (a_csv_line(quantity="12.0"), 12, 165),
        (a_csv_line(quantity="+12"), 12, 165),
        (a_csv_line(price="1.650"), 12, 165),
        (a_csv_line(price="1.6"), 12, 160),
        (a_csv_line(price="2"), 12, 200),
        (a_csv_line(price="0.01"), 12, 1),
        (a_csv_line(price=".5"), 12, 50),
        (a_csv_line(customer=""), 12, 165),
        (a_csv_line(title=""), 12, 165),
        (a_csv_line(country=""), 12, 165),
        (a_csv_line(code="22554 gift"), 12, 165),
        (a_csv_line(date="2011-11-25T08:05"), 12, 165),
        (a_csv_line().replace("\n", ",\n"), 12, 165),
    ],
)
def test_valid_row_is_never_refused(good: str, quantity: int, pence: int) -> None:
    lines = parsed(good)
    assert reasons(lines) == []
    assert [(row.quantity, row.unit_price) for row in lines.sales] == [(quantity, pence)]


def test_stock_code_in_lower_case_is_the_same_sku() -> None:
    lines = parsed(a_csv_line(code="84997d"), a_csv_line(code="84997D"))
    assert [row.sku for row in lines.sales] == ["84997D", "84997D"]


def test_columns_are_found_by_name_and_unknown_ones_are_ignored() -> None:
    text = (
        " unitprice,Till,InvoiceNo,StockCode,Quantity,InvoiceDate,CustomerID,Country\n"
        "1.65,7,578001,22554,12,2011-11-25 08:05:00,12452,France\n"
    )
    (row,) = parse(text).sales
    assert (row.unit_price, row.title, row.customer, row.country) == (165, "", "12452", "France")


def test_byte_order_mark_crlf_and_empty_lines_change_nothing(tmp_path: Path) -> None:
    target = tmp_path / "orders.csv"
    text = HEADER + a_csv_line() + "\n" + a_csv_line(code="POST") + "\n\n" + a_csv_line(code="22555")
    target.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    lines = load(target)
    assert [row.number for row in lines.sales] == [1, 3]
    assert [one.row for one in lines.refused] == [2]
    assert lines.sales[0].country == "United Kingdom"


def test_file_in_latin_1_is_read(tmp_path: Path) -> None:
    target = tmp_path / "orders.csv"
    target.write_bytes((HEADER + a_csv_line(title="CAFÉ SIGN")).encode("latin-1"))
    assert load(target).sales[0].title == "CAFÉ SIGN"


def test_quoted_description_may_contain_commas_quotes_and_line_breaks() -> None:
    lines = parsed(a_csv_line(title='"SET OF 3 ""BLUE"", LARGE\nBOXES"'), a_csv_line())
    assert [row.title for row in lines.sales] == ['SET OF 3 "BLUE", LARGE BOXES', "PLASTERS"]
    assert [row.number for row in lines.sales] == [1, 2]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the file is empty: not even a header"),
        ("\n\n", "the file is empty: not even a header"),
        ("InvoiceNo,StockCode,Quantity\n", "the header lacks InvoiceDate, UnitPrice, CustomerID, Country"),
        (HEADER.replace("Country", "Quantity"), "the header lacks Country"),
        (HEADER.replace("\n", ",Quantity\n"), "the header has Quantity more than once"),
        (HEADER + '"' + "x" * 200_000, "line 2 is no CSV: field larger than field limit (131072)"),
    ],
)
def test_file_without_the_columns_of_orders_is_refused_as_a_whole(tmp_path: Path, content: str, complaint: str) -> None:
    target = tmp_path / "orders.csv"
    target.write_text(content)
    with pytest.raises(BadOrdersFile) as refusal:
        load(target)
    assert str(refusal.value) == f"{target}: {complaint}"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadOrdersFile) as refusal:
        load(tmp_path / "nowhere.csv")
    assert str(refusal.value) == f"{tmp_path / 'nowhere.csv'}: no such file"
    with pytest.raises(BadOrdersFile):
        load(tmp_path)


def test_every_row_of_the_sample_is_accepted_or_refused() -> None:
    wanted = demand(load(SAMPLE))
    assert (wanted.read, wanted.accepted, len(wanted.refused)) == (913, 903, 10)
    assert (len(wanted.invoices), wanted.units, wanted.goods_amount) == (33, 8_038, 1_759_383)
    assert {one.reason.split(" ")[0] for one in wanted.refused} == {"Quantity", "StockCode", "UnitPrice"}
