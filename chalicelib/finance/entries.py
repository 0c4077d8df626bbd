"""Ledger entries: what a purchase means in money and units, as rows that are only ever added to.

Signs: quantity and money are positive where the buyer pays and negative where the buyer gets back, so that every
column adds up. ``fee`` and ``commission`` are what the shop owes to others: positive when it comes to owe them,
negative when it no longer does. ``amount`` is what moved between buyer and shop: ``net + tax``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from chalicelib.ids import order_id
from chalicelib.instants import Instant, business_day, rfc3339
from chalicelib.money import share
from chalicelib.purchase import Line, Payment, Purchase, Refund, RefundLine, accepted_refunds

_REMITTER = "shop"
_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9_.:-]|^[-]")


class EntryType(StrEnum):
    """What a row says. ``SALE`` and ``REFUND`` are about units of a line; the others about the order as a whole."""

    SALE = "sale"
    SHIPPING = "shipping"
    FEE = "fee"
    REFUND = "refund"
    SHIPPING_REFUND = "shipping_refund"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the ledger. Money in minor units of ``currency``; rates in basis points. No personal data.

    ``gross`` is unit price × quantity whatever the tax mode, or of a refund the share of it that it gives back;
    ``discount`` (signed as ``gross``) is what was taken off it; ``net`` is without tax, the discount taken off already.
    ``business_date`` is the day of ``occurred_at`` in the shop's time zone.
    """

    id: str
    order_id: str
    line_id: str | None
    entry_type: EntryType
    drop_id: str | None
    sku: str | None
    show_id: str | None
    channel: str | None
    creator_id: str | None
    quantity: int
    unit_price: int
    gross: int
    discount: int
    net: int
    tax: int
    tax_rate_bps: int
    tax_jurisdiction: str
    tax_remitter: str
    shipping: int
    fee: int
    commission: int
    commission_bps: int
    amount: int
    currency: str
    provider: str | None
    payment_id: str | None
    charge_id: str | None
    refund_id: str | None
    provider_refund_id: str | None
    occurred_at: str
    business_date: str

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> LedgerEntry:
        """The entry of a ledger line. ``TypeError`` when a column is missing or unknown."""
        return cls(**{**record, "entry_type": EntryType(record["entry_type"])})

    def to_record(self) -> dict[str, Any]:
        """The entry as the ledger keeps it."""
        return asdict(self)


COLUMNS = tuple(column.name for column in fields(LedgerEntry))


def spreadsheet_safe(text: str | None) -> str | None:
    """A name that came from outside, safe in a spreadsheet: no formula, no address, at most 64 characters."""
    return _UNSAFE_CHARACTERS.sub("_", text[:64]) if text else None


def entries_of(purchase: Purchase, time_zone: str) -> tuple[LedgerEntry, ...]:
    """Every ledger entry of a purchase; none before it is paid.

    An id is the purchase's with an ordinal. Ordinals are dealt out in the order in which refunds were *recorded*, done
    or not, so that an entry never changes and never moves, whichever refund is done first and whatever the clocks say:
    what a version derives is among what each later version derives, and with refunds done in the order of recording
    (as checkout does them) it is its beginning.
    """
    if purchase.paid_at is None:
        return ()
    return tuple(_PurchaseEntries(purchase, time_zone))


class _PurchaseEntries:
    """The rows of one paid purchase, numbered."""

    def __init__(self, purchase: Purchase, time_zone: str) -> None:
        self._purchase = purchase
        self._time_zone = time_zone
        self._lines = {line.id: line for line in purchase.lines}
        self._tax_included = purchase.totals.tax_on_top == 0
        self._payment: Payment | None = purchase.payment

    def __iter__(self) -> Iterator[LedgerEntry]:
        for ordinal, (at, refund, row) in enumerate(self._rows(), start=1):
            if at is not None:
                yield self._entry(ordinal, at, refund, row)

    def _rows(self) -> Iterator[tuple[Instant | None, Refund | None, dict[str, Any]]]:
        """When, by which refund, and what; None as the instant keeps the place of what has not happened yet."""
        purchase = self._purchase
        for line in purchase.lines:
            yield purchase.paid_at, None, self._sale_row(line)
        if purchase.totals.shipping:
            totals = purchase.totals
            yield purchase.paid_at, None, self._shipping_row(EntryType.SHIPPING, totals.shipping, totals.shipping_tax)
        if self._payment is not None and self._payment.fee:
            yield purchase.paid_at, None, {"entry_type": EntryType.FEE, "fee": self._payment.fee}
        net_refunded: dict[str, int] = {}
        for refund in accepted_refunds(purchase):  # no refund completes before an earlier one fails: none moves
            for part in refund.lines:
                yield refund.completed_at, refund, self._refund_row(part, net_refunded)
            if refund.shipping:
                shipping = self._shipping_row(EntryType.SHIPPING_REFUND, -refund.shipping, -refund.shipping_tax)
                yield refund.completed_at, refund, shipping

    def _net(self, gross: int, tax: int) -> int:
        return gross - tax if self._tax_included else gross

    def _sale_row(self, line: Line) -> dict[str, Any]:
        net = self._net(line.price, line.tax)
        return self._line_row(EntryType.SALE, line, line.quantity, net, line.discount, line.tax) | {
            "commission": share(net, line.commission_bps),
        }

    def _refund_row(self, part: RefundLine, net_refunded: dict[str, int]) -> dict[str, Any]:
        """Units that came back. Commission goes back by what is refunded so far: all units take all of it back."""
        line = self._lines[part.line_id]
        before = net_refunded.get(line.id, 0)
        after = net_refunded[line.id] = before + self._net(part.item_amount, part.tax)
        commission = share(after, line.commission_bps) - share(before, line.commission_bps)
        net, discount = self._net(part.item_amount, part.tax), part.discount
        return self._line_row(EntryType.REFUND, line, -part.quantity, -net, -discount, -part.tax) | {
            "commission": -commission
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

    def _entry(self, ordinal: int, at: Instant, refund: Refund | None, row: dict[str, Any]) -> LedgerEntry:
        purchase, payment = self._purchase, self._payment
        blank: dict[str, Any] = dict.fromkeys(_TEXT_COLUMNS) | dict.fromkeys(_NUMBER_COLUMNS, 0)
        return LedgerEntry(
            id=f"{purchase.id}-{ordinal:03d}",
            order_id=order_id(purchase.id),
            show_id=purchase.show_id,
            channel=spreadsheet_safe(purchase.channel or purchase.attribution.get("channel")),
            tax_jurisdiction=purchase.market,
            tax_remitter=_REMITTER,
            amount=row.get("net", 0) + row.get("tax", 0),
            currency=purchase.currency,
            provider=payment.provider if payment else None,
            payment_id=payment.provider_id if payment else None,
            charge_id=payment.charge_id if payment else None,
            refund_id=refund.id if refund else None,
            provider_refund_id=refund.provider_id if refund else None,
            occurred_at=rfc3339(at),
            business_date=business_day(at, self._time_zone).isoformat(),
            **(blank | row),
        )


_TEXT_COLUMNS = ("line_id", "drop_id", "sku", "creator_id")
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
