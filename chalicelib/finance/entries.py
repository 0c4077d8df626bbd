"""Ledger entries: the money and units of a purchase, as rows that are never changed.

Signs: quantity and money are positive where the buyer pays, and negative where the buyer is refunded. So every column
adds up. ``fee`` and ``commission`` are amounts that the shop owes to others; a negative amount ends such a debt.
``amount`` is the money between buyer and shop: ``net + tax``.
"""

from __future__ import annotations

import json
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
    """The kind of a row. ``SALE`` and ``REFUND`` concern units of a line; the others concern the whole order.

    A ``MOVEMENT_`` type is a movement of the shop's balance at the provider (``movement_entries``).
    """

    SALE = "sale"
    SHIPPING = "shipping"
    FEE = "fee"
    REFUND = "refund"
    SHIPPING_REFUND = "shipping_refund"
    MOVEMENT_CHARGE = "movement_charge"
    MOVEMENT_REFUND = "movement_refund"
    MOVEMENT_REFUND_FAILED = "movement_refund_failed"
    MOVEMENT_HOLD_RELEASED = "movement_hold_released"
    MOVEMENT_DISPUTE = "movement_dispute"
    MOVEMENT_DISPUTE_REVERSED = "movement_dispute_reversed"
    MOVEMENT_FEE = "movement_fee"
    MOVEMENT_PAYOUT = "movement_payout"
    MOVEMENT_PAYOUT_FAILED = "movement_payout_failed"
    MOVEMENT_OTHER = "movement_other"
    MOVEMENT_FOREIGN = "movement_foreign"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the ledger. Money in minor units of ``currency``; rates in basis points. No personal data.

    ``gross`` is unit price × quantity in every tax mode; in a refund it is the refunded share of it. ``discount`` has
    the sign of ``gross`` and is the part that was taken off. ``net`` is after the discount and without tax.
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
    clearing: int = 0
    """The change of the shop's balance at the provider."""
    conversion_rate: str | None = None
    """The rate from the buyer's currency to ``currency``, where the provider converted."""
    balance_transaction: str | None = None
    """The provider's id of the movement."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> LedgerEntry:
        """Return the entry of a ledger line.

        Raises: ``TypeError`` when a column is missing or unknown.
        """
        return cls(**{**record, "entry_type": EntryType(record["entry_type"])})

    def to_record(self) -> dict[str, Any]:
        """Return the entry by column."""
        return asdict(self)

    def to_json_line(self) -> str:
        """Return the entry as a line of the ledger, in canonical JSON."""
        return json.dumps(self.to_record(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


COLUMNS = tuple(column.name for column in fields(LedgerEntry))


def spreadsheet_safe(text: str | None) -> str | None:
    """Return a name from outside that is safe in a spreadsheet: no formula, no address, at most 64 characters."""
    return _UNSAFE_CHARACTERS.sub("_", text[:64]) if text else None


def entries_of(purchase: Purchase, time_zone: str) -> tuple[LedgerEntry, ...]:
    """Return every ledger entry of a purchase; none before it is paid.

    An id is the purchase's id with an ordinal. Ordinals follow the order in which refunds were *recorded*, completed or
    not. So an entry never changes, even if a later refund completes first or clocks differ. The entries of a version
    are among the entries of each later version. Refunds complete in the order of recording, so that they are its
    beginning.
    """
    if purchase.paid_at is None:
        return ()
    return _PurchaseEntries(purchase, time_zone).numbered()


class _PurchaseEntries:
    """The numbered rows of one paid purchase."""

    def __init__(self, purchase: Purchase, time_zone: str) -> None:
        self._purchase = purchase
        self._time_zone = time_zone
        self._lines = {line.id: line for line in purchase.lines}
        self._tax_included = purchase.totals.tax_on_top == 0
        self._payment: Payment | None = purchase.payment
        self._shared_columns = self._columns_of_order()

    def numbered(self) -> tuple[LedgerEntry, ...]:
        """Return the entries in the order of their ordinals. A row without an instant only uses up its ordinal."""
        rows = list(self._rows())
        dates = {
            at: {"occurred_at": rfc3339(at), "business_date": business_day(at, self._time_zone).isoformat()}
            for at, _, _ in rows
            if at is not None
        }
        return tuple(
            self._entry(ordinal, refund, row | dates[at])
            for ordinal, (at, refund, row) in enumerate(rows, start=1)
            if at is not None
        )

    def _rows(self) -> Iterator[tuple[Instant | None, Refund | None, dict[str, Any]]]:
        """Yield instant, refund and columns of each row. The instant None reserves the number of a pending refund."""
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
        """Return the row of refunded units. Commission follows the sum of refunds: all units reverse all of it."""
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

    def _entry(self, ordinal: int, refund: Refund | None, row: dict[str, Any]) -> LedgerEntry:
        columns = self._shared_columns | row
        return LedgerEntry(
            id=f"{self._purchase.id}-{ordinal:03d}",
            amount=columns["net"] + columns["tax"],
            refund_id=refund.id if refund else None,
            provider_refund_id=refund.provider_id if refund else None,
            **columns,
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
