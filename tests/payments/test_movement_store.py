"""A movement of the provider's balance is stored once, beside the purchase that it is for."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.payments import Movement, MovementKind, MovementStore
from tests.conftest import Tables

CHARGE = Movement(
    id="txn_1",
    provider="stripe",
    kind=MovementKind.CHARGE,
    provider_type="charge",
    amount=1_670,
    fee=45,
    currency="GBP",
    created_at=1_795_000_000_000,
    source_id="ch_1",
    payment_id="pi_1",
    purchase_id="p1",
    attempt=1,
    charged_amount=1_670,
    charged_currency="GBP",
)
PAYOUT = Movement("txn_2", "stripe", MovementKind.PAYOUT, "payout", -1_625, 0, "GBP", 1_795_000_000_000)


def test_a_movement_is_stored_once_and_read_with_its_purchase(tables: Tables) -> None:
    store = MovementStore(tables.dynamodb, tables.commerce)
    assert store.add(CHARGE)
    assert not store.add(replace(CHARGE, fee=99))
    assert store.add(PAYOUT)
    assert store.of_purchase("p1") == [CHARGE]
    assert sorted(store.scan(), key=lambda movement: movement.id) == [CHARGE, PAYOUT]
    assert (CHARGE.net, PAYOUT.net) == (1_625, -1_625)
