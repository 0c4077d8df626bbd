"""Read real orders from a CSV file: accept each row, or refuse it with a reason. No I/O except ``load``.

The columns are those of *Online Retail* (UCI): ``InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice,
CustomerID, Country``, in any order. ``Description`` may be missing, and further columns are ignored. A row is a CSV
record after the header. Rows are counted from 1, without empty lines.

Stock codes are compared in upper case, because the source writes ``22554a`` and ``22554A`` for one SKU. One SKU at two
prices makes two articles. A customer's id is compared without the ``.0`` that a spreadsheet appends.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from chalicelib.currencies import highest_amount

REQUIRED = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
DESCRIPTION = "Description"

MAX_QUANTITY = 1_000_000
"""Units in one row. A larger number is a typing error."""
MAX_PRICE = highest_amount("GBP")
"""Minor units: a million pounds."""

_MERCHANDISE_CODE = re.compile(r"[0-9]{5}")
_WHOLE = re.compile(r"([+-]?)([0-9]{1,15})(?:\.0*)?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]*)?|\.[0-9]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadOrdersFile(Exception):
    """The file as a whole is no file of orders. The message says why."""


class UnusableRow(Exception):
    """This row cannot be used. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Row:
    """One invoice line. ``unit_price`` is in pence. ``quantity`` is above 0, also in a cancellation."""

    number: int
    invoice: str
    sku: str
    title: str
    quantity: int
    placed_at: datetime
    """The shop's local time, without a zone."""
    unit_price: int
    customer: str
    """Empty for a guest."""
    country: str

    @property
    def amount(self) -> int:
        return self.quantity * self.unit_price


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not used, and the reason."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The rows of a file by kind. Cancellations are not matched with orders yet."""

    read: int
    sales: tuple[Row, ...]
    cancellations: tuple[Row, ...]
    refused: tuple[RefusedRow, ...]


def load(path: Path) -> ParsedRows:
    """Read the rows of a file. Raises: BadOrdersFile."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadOrdersFile(f"{path}: no such file") from None
    except OSError as error:
        raise BadOrdersFile(f"{path}: {error.strerror or error}") from None
    try:
        return parse(_text(content))
    except BadOrdersFile as error:
        raise BadOrdersFile(f"{path}: {error}") from None


def parse(text: str) -> ParsedRows:
    """Sort the rows of a CSV text into sales, cancellations and refused rows. Raises: BadOrdersFile."""
    read = 0
    sales: list[Row] = []
    cancellations: list[Row] = []
    refused: list[RefusedRow] = []
    for number, cells in _records(text):
        read = number
        try:
            row = _row(number, cells)
        except UnusableRow as refusal:
            refused.append(RefusedRow(number, str(refusal)))
            continue
        (cancellations if is_cancellation(row.invoice) else sales).append(row)
    return ParsedRows(read, tuple(sales), tuple(cancellations), tuple(refused))


def is_cancellation(invoice: str) -> bool:
    """Return whether the invoice number begins with C, by which the source marks a cancellation."""
    return invoice[:1] in {"C", "c"}


def _text(content: bytes) -> str:
    """Decode UTF-8 with or without a byte order mark, or else Latin-1, as in older exports of this source."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _records(text: str) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Yield each record's number with its cells by column, or with the reason why they do not fit the header."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        header = _header(next((record for record in reader if record), None))
        for number, record in enumerate((record for record in reader if record), start=1):
            yield number, _cells(header, record)
    except csv.Error as error:
        raise BadOrdersFile(f"line {reader.line_num} is no CSV: {error}") from None


def _header(record: list[str] | None) -> list[str]:
    if record is None:
        raise BadOrdersFile("the file is empty: not even a header")
    known = {name.casefold(): name for name in (*REQUIRED, DESCRIPTION)}
    header = [known.get(cell.strip().casefold(), "") for cell in record]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise BadOrdersFile(f"the header lacks {', '.join(missing)}")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise BadOrdersFile(f"the header has {', '.join(twice)} more than once")
    return header


def _cells(header: list[str], record: list[str]) -> Mapping[str, str] | str:
    surplus = record[len(header) :]
    if len(record) < len(header) or any(cell.strip() for cell in surplus):
        return f"has {len(record)} cells where the header has {len(header)}"
    return {name: cell.strip() for name, cell in zip(header, record, strict=False) if name}


def _row(number: int, cells: Mapping[str, str] | str) -> Row:
    if isinstance(cells, str):
        raise UnusableRow(cells)
    for name in ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"):
        if not cells[name]:
            raise UnusableRow(f"{name} is missing")
        if _CONTROL.search(cells[name]):
            raise UnusableRow(f"{name} has control characters")
    invoice = cells["InvoiceNo"]
    sku = _sku(cells["StockCode"])
    quantity = _quantity(cells["Quantity"], cancelling=is_cancellation(invoice))
    return Row(
        number=number,
        invoice=invoice,
        sku=sku,
        title=" ".join(_CONTROL.sub(" ", cells.get(DESCRIPTION, "")).split()),
        quantity=quantity,
        placed_at=_date(cells["InvoiceDate"]),
        unit_price=_pence(cells["UnitPrice"]),
        customer=cells["CustomerID"].removesuffix(".0"),
        country=cells["Country"],
    )


def _sku(code: str) -> str:
    if not _MERCHANDISE_CODE.match(code):
        raise UnusableRow(f"StockCode {code} is no article: postage, fee or manual line")
    return code.upper()


def _quantity(text: str, *, cancelling: bool) -> int:
    parts = _WHOLE.fullmatch(text)
    if parts is None:
        raise UnusableRow(f"Quantity {text} is not a whole number")
    quantity = int(parts[1] + parts[2])
    if cancelling and quantity >= 0:
        raise UnusableRow(f"Quantity {quantity} in a cancellation is not negative")
    if not cancelling and quantity < 0:
        raise UnusableRow(f"Quantity {quantity} without a cancellation: a stock adjustment")
    if quantity == 0:
        raise UnusableRow("Quantity is 0")
    if abs(quantity) > MAX_QUANTITY:
        raise UnusableRow(f"Quantity {quantity} is over {MAX_QUANTITY}")
    return abs(quantity)


def _pence(text: str) -> int:
    """Convert a price exactly: 1.65 and 1.650 are 165. 1.655 is no whole number of pence, so it is refused."""
    if not _DECIMAL.fullmatch(text):
        raise UnusableRow(f"UnitPrice {text} is not a number")
    price = Decimal(text)
    if price < Decimal("0.01"):
        raise UnusableRow(f"UnitPrice {text} is below one penny: a sample, gift or write-off")
    pence = price * 100
    if pence != int(pence):
        raise UnusableRow(f"UnitPrice {text} is not a whole number of pence")
    if pence > MAX_PRICE:
        raise UnusableRow(f"UnitPrice {text} is over a million")
    return int(pence)


def _date(text: str) -> datetime:
    if _DATE.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise UnusableRow(f"InvoiceDate {text} is not a date such as 2011-11-25 08:12:00")
