"""Builders of movements of the provider's balance. A test passes only the values that it is about."""

from __future__ import annotations

from typing import Any

from chalicelib.payments import Movement, MovementKind
from tests.builders.paid_orders import PAID_AT


def a_movement(movement_id: str = "txn_1", **changes: Any) -> Movement:
    """Build the movement of the capture of the order ``P1``: 1670 in pounds, 45 of which are the provider's fee."""
    standard: dict[str, Any] = {
        "id": movement_id,
        "provider": "sandbox",
        "kind": MovementKind.CHARGE,
        "provider_type": "charge",
        "amount": 1_670,
        "fee": 45,
        "currency": "GBP",
        "created_at": PAID_AT,
        "source_id": "ch_1",
        "payment_id": "sbx_P1#1",
        "purchase_id": "P1",
        "attempt": 1,
        "charged_amount": 1_670,
        "charged_currency": "GBP",
    }
    return Movement(**{**standard, **changes})


def an_account_movement(movement_id: str, kind: MovementKind, amount: int, **changes: Any) -> Movement:
    """Build a movement that is for no payment of the shop: a payout, or a fee of the account."""
    return Movement(movement_id, "sandbox", kind, kind.value, amount, 0, "GBP", PAID_AT, **changes)
