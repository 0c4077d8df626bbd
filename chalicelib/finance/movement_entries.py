"""Ledger entries of the movements of the shop's balance at the provider, one for each movement.

``clearing`` is what the balance changed by, and ``fee`` the provider's part of it, in minor units of ``currency``: the
currency of settlement, which may differ from the order's. So the sum of ``clearing`` is the provider's balance. Money
between buyer and shop is in the entries of the order: ``amount`` is 0 here.

An entry follows from its movement alone, which never changes. It has neither show nor channel, because a movement may
be posted before its order is paid: ``order_id`` leads to them.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.finance.ledger_entry import EntryType, LedgerEntry
from chalicelib.ids import order_id
from chalicelib.instants import business_day, rfc3339
from chalicelib.payments import Movement, MovementKind

_TYPES: Final = {kind: EntryType(f"movement_{kind.value}") for kind in MovementKind}
_MARK: Final = ".movement."
_TEXT_COLUMNS: Final = ("line_id", "drop_id", "sku", "show_id", "channel", "creator_id", "refund_id")
_NUMBER_COLUMNS: Final = (
    "quantity", "unit_price", "gross", "discount", "net", "tax", "tax_rate_bps", "shipping", "commission",
    "commission_bps", "amount",
)  # fmt: skip


def is_movement_entry(entry_id: str) -> bool:
    """Return whether an entry id is that of a movement."""
    return _MARK in entry_id


def movement_entry(movement: Movement, time_zone: str) -> LedgerEntry:
    """Return the entry of a movement. Its business date is the day of the movement in the shop's time zone."""
    blank: dict[str, Any] = dict.fromkeys(_TEXT_COLUMNS) | dict.fromkeys(_NUMBER_COLUMNS, 0)
    is_refund = movement.kind in {MovementKind.REFUND, MovementKind.REFUND_FAILED}
    return LedgerEntry(
        id=_entry_id(movement),
        order_id=order_id(movement.purchase_id) if movement.purchase_id else "",
        entry_type=EntryType.MOVEMENT_FOREIGN if movement.is_foreign else _TYPES[movement.kind],
        tax_jurisdiction="",
        tax_remitter="",
        fee=_fee(movement),
        currency=movement.currency,
        provider=movement.provider,
        payment_id=movement.payment_id,
        charge_id=movement.source_id if movement.kind is MovementKind.CHARGE else None,
        provider_refund_id=movement.source_id if is_refund else None,
        occurred_at=rfc3339(movement.created_at),
        business_date=business_day(movement.created_at, time_zone).isoformat(),
        clearing=movement.net,
        conversion_rate=movement.conversion_rate,
        balance_transaction=movement.id,
        **blank,
    )


def _entry_id(movement: Movement) -> str:
    if movement.purchase_id is not None:
        return f"{movement.purchase_id}{_MARK}{movement.id}"
    return f"account{_MARK}{movement.provider}.{movement.id}"


def _fee(movement: Movement) -> int:
    """Return the provider's fee: all of a fee's own movement, and nothing of a payment that is not the shop's."""
    if movement.is_foreign:
        return 0
    return -movement.net if movement.kind is MovementKind.FEE else movement.fee
