"""Ledger entries: rows of money and units that are never changed.

Signs: quantity and money are positive where the buyer pays, and negative where the buyer is refunded. So every column
adds up. ``fee`` and ``commission`` are amounts that the shop owes to others; a negative amount ends such a debt.
``amount`` is the money between buyer and shop: ``net + tax``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9_.:-]|^[-]")


class EntryType(StrEnum):
    """The kind of a row. A sale, refund or chargeback has a row for each line; a chargeback also one for shipping.

    A row of a refund that failed reverses the row of the refund. A chargeback is money lost by a dispute. It has no
    tax, because the sale took place. A ``MOVEMENT_`` type is a movement of the shop's balance at the provider
    (``movement_entries``). ``FEE`` is read from older ledgers alone.
    """

    SALE = "sale"
    SHIPPING = "shipping"
    FEE = "fee"
    REFUND = "refund"
    SHIPPING_REFUND = "shipping_refund"
    REFUND_FAILED = "refund_failed"
    SHIPPING_REFUND_FAILED = "shipping_refund_failed"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"
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
    dispute_id: str | None = None

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> LedgerEntry:
        """Return the entry of a ledger line.

        Raises: ``TypeError`` when a column is missing or unknown.
        """
        return cls(**{**record, "id": entry_id_of(record), "entry_type": EntryType(record["entry_type"])})

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


def entry_id_of(record: Mapping[str, Any]) -> str:
    """Return the id of a posted entry, by name. Older entries have an ordinal in place of the name."""
    posted_id: str = record["id"]
    if "." in posted_id:
        return posted_id
    purchase_id, line_id, refund_id = posted_id.rpartition("-")[0], record["line_id"], record["refund_id"]
    match EntryType(record["entry_type"]):
        case EntryType.REFUND:
            return f"{purchase_id}.refund.{refund_id}.{line_id}"
        case EntryType.SHIPPING_REFUND:
            return f"{purchase_id}.refund.{refund_id}.shipping"
        case EntryType.SALE:
            return f"{purchase_id}.sale.{line_id}"
        case entry_type:
            return f"{purchase_id}.{entry_type}"


def purchase_id_of_entry(entry_id: str) -> str:
    """Return the purchase id that an entry id begins with."""
    return entry_id.partition(".")[0]
