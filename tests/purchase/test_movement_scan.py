"""Purchases are read with their movements, in bounded memory, and a scan goes on from any position."""

from __future__ import annotations

import pytest

from chalicelib.payments import MovementKind, MovementStore
from chalicelib.purchase import PurchaseMovements, PurchaseStore, scan_with_movements
from tests.builders.movements import a_movement, an_account_movement
from tests.builders.paid_orders import a_paid_order, store_purchases
from tests.conftest import Tables


@pytest.fixture
def store(tables: Tables) -> PurchaseStore:
    purchases = PurchaseStore(tables.dynamodb, tables.commerce)
    movements = MovementStore(tables.dynamodb, tables.commerce)
    movements.begin("sandbox", 0)
    store_purchases(purchases, *(a_paid_order(f"P{number}") for number in range(4)))
    for number in range(3):
        for index in range(number):
            movements.add(a_movement(f"txn_{number}_{index}", purchase_id=f"P{number}"))
    movements.add(a_movement("txn_ghost", purchase_id="ghost"))
    for number in range(3):
        movements.add(an_account_movement(f"po_{number}", MovementKind.PAYOUT, -1))
    return purchases


def names(groups: list[PurchaseMovements]) -> list[tuple[str | None, list[str]]]:
    found = [
        (group.purchase.id if group.purchase else None, sorted(movement.id for movement in group.movements))
        for group in groups
    ]
    return sorted(found, key=str)


ALL = [
    ("P0", []),
    ("P1", ["txn_1_0"]),
    ("P2", ["txn_2_0", "txn_2_1"]),
    ("P3", []),
    (None, ["po_0"]),
    (None, ["po_1"]),
    (None, ["po_2"]),
    (None, ["txn_ghost"]),
]


def test_each_purchase_comes_once_with_all_its_movements_and_other_movements_one_by_one(store: PurchaseStore) -> None:
    assert names(list(scan_with_movements(store))) == ALL


@pytest.mark.parametrize("read", range(1, 8))
def test_scan_goes_on_after_the_position_of_a_group(store: PurchaseStore, read: int) -> None:
    groups = list(scan_with_movements(store))
    rest = list(scan_with_movements(store, groups[read - 1].position))
    assert names(groups[:read] + rest) == ALL
