"""Turn rows into demand: group sales into invoices, and match each cancellation with an order. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from infra.rehearse.orders import ParsedRows, RefusedRow, Row

Article = tuple[str, int]
"""SKU and price in pence. One drop offers one article."""


MAX_STOCK = 1_000_000
"""Units that one drop may offer."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """One order of the source: units by article, in the order of their first rows."""

    number: str
    customer: str
    country: str
    placed_at: datetime
    units: dict[Article, int]


@dataclass(frozen=True, slots=True)
class Cancellation:
    """Units of one article that row ``row`` cancels in the invoice at ``invoices[position]``."""

    row: int
    position: int
    article: Article
    quantity: int


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand of a file. ``accepted + len(refused) == read``."""

    read: int
    accepted: int
    refused: tuple[RefusedRow, ...]
    invoices: tuple[Invoice, ...]
    """Ordered by time, then by first row."""
    cancellations: tuple[Cancellation, ...]
    titles: dict[Article, str]

    @property
    def units(self) -> int:
        return sum(sum(invoice.units.values()) for invoice in self.invoices)

    @property
    def goods_amount(self) -> int:
        """Price × quantity of all accepted sales in pence, before cancellations."""
        return sum(quantity * price for invoice in self.invoices for (_, price), quantity in invoice.units.items())


def demand(rows: ParsedRows) -> Demand:
    """Group sales into invoices and match cancellations with them."""
    sales, too_many = _offerable(rows.sales)
    invoices = _invoices(sales)
    cancellations, unmatched = _match(rows.cancellations, invoices)
    refused = sorted((*rows.refused, *too_many, *unmatched), key=lambda refusal: refusal.row)
    titles: dict[Article, str] = {}
    for row in sales:
        article = (row.sku, row.unit_price)
        titles[article] = titles.get(article) or row.title
    return Demand(
        read=rows.read,
        accepted=len(sales) + len(cancellations),
        refused=tuple(refused),
        invoices=invoices,
        cancellations=cancellations,
        titles={article: title or article[0] for article, title in titles.items()},
    )


def _offerable(sales: Iterable[Row]) -> tuple[list[Row], list[RefusedRow]]:
    """Accept rows up to the maximum stock of a drop; refuse those beyond it."""
    wanted: dict[Article, int] = {}
    offerable: list[Row] = []
    refused: list[RefusedRow] = []
    for row in sales:
        article = (row.sku, row.unit_price)
        total = wanted.get(article, 0) + row.quantity
        if total > MAX_STOCK:
            refused.append(RefusedRow(row.number, f"{total} units of {row.sku} are more than one drop may offer"))
            continue
        wanted[article] = total
        offerable.append(row)
    return offerable, refused


def _invoices(sales: Iterable[Row]) -> tuple[Invoice, ...]:
    """Make one invoice for each number, or one for each customer and country when a number has several."""
    found: dict[tuple[str, str, str], Invoice] = {}
    for row in sales:
        key = (row.invoice, row.customer, row.country)
        invoice = found.setdefault(key, Invoice(*key, row.placed_at, {}))
        article = (row.sku, row.unit_price)
        invoice.units[article] = invoice.units.get(article, 0) + row.quantity
    return tuple(sorted(found.values(), key=lambda invoice: invoice.placed_at))  # stable: then by first row


def _match(
    cancellations: Iterable[Row], invoices: Sequence[Invoice]
) -> tuple[tuple[Cancellation, ...], tuple[RefusedRow, ...]]:
    """Match each cancellation with the earliest invoice of the same customer and article that has all its units.

    Searches the whole file and not only the rows above, because the shop wrote some cancellations minutes before the
    order that they correct. Two guests are never treated as the same customer.
    """
    candidates: dict[tuple[str, Article], list[int]] = defaultdict(list)
    remaining: dict[tuple[int, Article], int] = {}
    for position, invoice in enumerate(invoices):
        for article, quantity in invoice.units.items():
            candidates[invoice.customer, article].append(position)
            remaining[position, article] = quantity
    matched: list[Cancellation] = []
    unmatched: list[RefusedRow] = []
    for row in cancellations:
        article = (row.sku, row.unit_price)
        positions = candidates.get((row.customer, article), []) if row.customer else []
        position = next((p for p in positions if remaining[p, article] >= row.quantity), -1)
        if position < 0:
            unmatched.append(RefusedRow(row.number, _unmatched_reason(row, known=bool(positions))))
            continue
        remaining[position, article] -= row.quantity
        matched.append(Cancellation(row.number, position, article, row.quantity))
    return tuple(matched), tuple(unmatched)


def _unmatched_reason(row: Row, *, known: bool) -> str:
    article = f"{row.quantity} of {row.sku} at {row.unit_price / 100:.2f}"
    if not row.customer:
        return f"unmatched cancellation: no customer, so no order is known for {article}"
    if known:
        return f"unmatched cancellation: no order of customer {row.customer} has {article} left"
    return f"unmatched cancellation: customer {row.customer} ordered no {row.sku} at {row.unit_price / 100:.2f}"
