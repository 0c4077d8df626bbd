"""Derive the ledger entries of a purchase. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from chalicelib.finance.ledger_entry import EntryType, LedgerEntry, spreadsheet_safe
from chalicelib.ids import order_id
from chalicelib.instants import Instant, business_day, rfc3339
from chalicelib.purchase import (
    Allocation,
    Dispute,
    DisputeLoss,
    Line,
    Payment,
    Purchase,
    Refund,
    RefundLine,
    commission_of,
    excess_of,
    money_of,
    posted_refunds,
)

_REMITTER = "shop"
_RowsOf = Callable[[Allocation, int], Iterator[tuple[str, dict[str, Any]]]]


def entries_of(purchase: Purchase, time_zone: str) -> tuple[LedgerEntry, ...]:
    """Return every ledger entry of a purchase; none before it is paid.

    An id names what the entry is about, such as ``{purchase}.refund.{refund}.{line}``, and no entry depends on a later
    fact. So the entries of a version are among those of each later version, unchanged, in any order in which refunds
    and disputes end.
    """
    if purchase.paid_at is None:
        return ()
    return tuple(_PurchaseEntries(purchase, time_zone).entries(purchase.paid_at))


class _PurchaseEntries:
    """The rows of one paid purchase."""

    def __init__(self, purchase: Purchase, time_zone: str) -> None:
        self._purchase = purchase
        self._time_zone = time_zone
        self._lines = {line.id: line for line in purchase.lines}
        self._tax_included = purchase.totals.tax_on_top == 0
        self._payment: Payment | None = purchase.payment
        self._shared_columns = self._columns_of_order()
        self._dates: dict[Instant, dict[str, str]] = {}

    def entries(self, paid_at: Instant) -> Iterator[LedgerEntry]:
        """Yield the entries: the sale, then each refund, then each dispute."""
        for name, row in self._rows_of_sale():
            yield self._entry(name, paid_at, row)
        for refund in posted_refunds(self._purchase):
            yield from self._entries_of_refund(refund)
        for dispute in self._purchase.disputes:
            for number, loss in enumerate(dispute.losses, start=1):
                yield from self._entries_of_loss(dispute, loss, f"lost{number if number > 1 else ''}")

    def _rows_of_sale(self) -> Iterator[tuple[str, dict[str, Any]]]:
        totals = self._purchase.totals
        for line in self._purchase.lines:
            yield f"sale.{line.id}", self._sale_row(line)
        if totals.shipping:
            yield "shipping", self._shipping_row(EntryType.SHIPPING, totals.shipping, totals.shipping_tax)

    def _entries_of_refund(self, refund: Refund) -> Iterator[LedgerEntry]:
        """Yield the rows of a refund, and those that reverse it if it failed at the provider later."""
        columns = {"refund_id": refund.id, "provider_refund_id": refund.provider_id}
        for ended_at, sign, suffix in ((refund.completed_at, -1, ""), (refund.failed_at, 1, ".failed")):
            if ended_at is not None:
                entry_type = _REFUND_TYPES[sign][0]
                for name, known_at, row in self._rows_of(refund, self._rows_of_refund, sign):
                    named = {"entry_type": entry_type} | row | columns
                    yield self._entry(f"refund.{refund.id}.{name}{suffix}", max(ended_at, known_at), named)

    def _rows_of(
        self, taken: Refund | DisputeLoss, rows_of: _RowsOf, sign: int
    ) -> Iterator[tuple[str, Instant, dict[str, Any]]]:
        """Yield names, instants and rows of a refund or loss, of its excess, and of what is allocated of that since."""
        for name, row in rows_of(taken, sign):
            yield name, 0, row
        excess = excess_of(self._purchase, taken)
        if excess:
            yield "excess", 0, {"net": sign * excess}
        for number, allocated in enumerate(taken.allocated, start=1):
            for name, row in rows_of(allocated, sign):
                yield f"allocated{number}.{name}", allocated.allocated_at, row
            money = {"net": -sign * money_of(self._purchase, allocated)}
            yield f"allocated{number}.excess", allocated.allocated_at, money

    def _rows_of_refund(self, taken: Allocation, sign: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows of a refund's parts with ``sign`` -1, and the rows that reverse them with 1."""
        line_type, shipping_type = _REFUND_TYPES[sign]
        for part in taken.lines:
            yield part.line_id, self._part_row(line_type, part, sign) | {"commission": sign * (part.commission or 0)}
        if taken.shipping:
            yield "shipping", self._shipping_row(shipping_type, sign * taken.shipping, sign * taken.shipping_tax)

    def _part_row(self, entry_type: EntryType, part: RefundLine, sign: int) -> dict[str, Any]:
        line, net = self._lines[part.line_id], self._net(part.item_amount, part.tax)
        signed = (sign * number for number in (part.quantity, net, part.discount, part.tax))
        return self._line_row(entry_type, line, *signed)

    def _entries_of_loss(self, dispute: Dispute, loss: DisputeLoss, name: str) -> Iterator[LedgerEntry]:
        """Yield the rows of a loss, and those that reverse it if the outcome was reversed."""
        endings = (
            (EntryType.CHARGEBACK, loss.lost_at, -1, ""),
            (EntryType.CHARGEBACK_REVERSED, loss.restored_at, 1, ".restored"),
        )
        for entry_type, ended_at, sign, suffix in endings:
            if ended_at is not None:
                for part, known_at, row in self._rows_of(loss, self._rows_of_loss, sign):
                    columns = row | {"entry_type": entry_type, "dispute_id": dispute.id}
                    yield self._entry(f"dispute.{dispute.id}.{name}.{part}{suffix}", max(ended_at, known_at), columns)

    def _rows_of_loss(self, taken: Allocation, sign: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what a loss takes from each line and from shipping."""
        for part in taken.lines:
            amount = part.item_amount + (0 if self._tax_included else part.tax)
            row = self._line_row(EntryType.CHARGEBACK, self._lines[part.line_id], 0, sign * amount, 0, 0)
            yield part.line_id, row | {"tax_rate_bps": 0, "commission": sign * (part.commission or 0)}
        shipping = taken.shipping + (0 if self._tax_included else taken.shipping_tax)
        if shipping:
            yield "shipping", {"shipping": sign * taken.shipping, "net": sign * shipping}

    def _net(self, gross: int, tax: int) -> int:
        return gross - tax if self._tax_included else gross

    def _sale_row(self, line: Line) -> dict[str, Any]:
        net = self._net(line.price, line.tax)
        return self._line_row(EntryType.SALE, line, line.quantity, net, line.discount, line.tax) | {
            "commission": commission_of(self._purchase, line),
        }

    def _line_row(
        self, entry_type: EntryType, line: Line, quantity: int, net: int, discount: int, tax: int
    ) -> dict[str, Any]:
        return {
            "entry_type": entry_type,
            "line_id": line.id,
            "drop_id": line.drop_id,
            "sku": line.sku,
            "creator_id": spreadsheet_safe(line.creator_id or self._purchase.attribution.get("creator")),
            "quantity": quantity,
            "unit_price": line.unit_price,
            "gross": net + (tax if self._tax_included else 0) + discount,
            "discount": discount,
            "net": net,
            "tax": tax,
            "tax_rate_bps": line.tax_rate_bps,
            "commission_bps": line.commission_bps,
        }

    def _shipping_row(self, entry_type: EntryType, price: int, tax: int) -> dict[str, Any]:
        rate = self._purchase.totals.shipping_tax_rate_bps
        net = self._net(price, tax)
        return {"entry_type": entry_type, "shipping": price, "net": net, "tax": tax, "tax_rate_bps": rate}

    def _columns_of_order(self) -> dict[str, Any]:
        """Return the columns that every entry of the order has alike, and blanks for those of its rows."""
        purchase, payment = self._purchase, self._payment
        blank: dict[str, Any] = dict.fromkeys(_TEXT_COLUMNS) | dict.fromkeys(_NUMBER_COLUMNS, 0)
        return blank | {
            "order_id": order_id(purchase.id),
            "show_id": purchase.show_id,
            "channel": spreadsheet_safe(purchase.channel or purchase.attribution.get("channel")),
            "tax_jurisdiction": purchase.market,
            "tax_remitter": _REMITTER,
            "currency": purchase.currency,
            "provider": payment.provider if payment else None,
            "payment_id": payment.provider_id if payment else None,
            "charge_id": payment.charge_id if payment else None,
        }

    def _entry(self, name: str, at: Instant, row: dict[str, Any]) -> LedgerEntry:
        columns = self._shared_columns | row | self._dates_of(at)
        return LedgerEntry(id=f"{self._purchase.id}.{name}", amount=columns["net"] + columns["tax"], **columns)

    def _dates_of(self, at: Instant) -> dict[str, str]:
        """Return the columns of an instant, formatted once."""
        if at not in self._dates:
            day = business_day(at, self._time_zone)
            self._dates[at] = {"occurred_at": rfc3339(at), "business_date": day.isoformat()}
        return self._dates[at]


_REFUND_TYPES = {
    -1: (EntryType.REFUND, EntryType.SHIPPING_REFUND),
    1: (EntryType.REFUND_FAILED, EntryType.SHIPPING_REFUND_FAILED),
}
_TEXT_COLUMNS = ("line_id", "drop_id", "sku", "creator_id", "refund_id", "provider_refund_id", "dispute_id")
_NUMBER_COLUMNS = (
    "quantity",
    "unit_price",
    "gross",
    "discount",
    "net",
    "tax",
    "tax_rate_bps",
    "shipping",
    "fee",
    "commission",
    "commission_bps",
)
