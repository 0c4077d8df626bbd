"""The clearing statement equals the provider's balance to the minor unit, or names the difference."""

from __future__ import annotations

import pytest

from chalicelib.instants import DAY, HOUR, MINUTE
from chalicelib.recovery.reconciliation import reconcile as reconcile_module
from chalicelib.recovery.reconciliation.follow_balance import READ_AGAIN
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.reconciliation import reconcile
from tests.builders.shop import ShopFixture

LATER = NOW + 10 * MINUTE


def test_clearing_is_what_was_captured_less_fees_and_refunds_and_equals_the_providers_balance(
    shop: ShopFixture,
) -> None:
    shop.put_drop("mug", stock=9)
    reconcile(shop.context, NOW - HOUR)
    paid = shop.pay(("mug", 2))
    refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    shop.pay(("mug", 1), key="later", now=NOW + HOUR)  # after the last stored movement: in the balance alone
    report = reconcile(shop.context, NOW + HOUR + MINUTE)
    assert report.statement is not None
    (row,) = report.statement
    assert (row.currency, row.opening, row.clearing, row.difference) == ("GBP", 0, 2_945 - 64 - 1_275, 0)
    assert row.moved == {"charge": 2_945, "fees": -64, "refund": -1_275}


def test_movement_that_is_not_stored_is_a_difference_that_is_counted(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, int]] = []
    monkeypatch.setattr(reconcile_module, "count", lambda *metric: counted.append(metric))
    shop.put_drop("mug", stock=9)
    reconcile(shop.context, NOW - HOUR)
    paid = shop.pay(("mug", 1))
    reconcile(shop.context, LATER)
    assert counted == []
    (movement,) = shop.context.movements.of_purchase(paid.id)
    key = {"pk": {"S": f"PURCHASE#{paid.id}"}, "sk": {"S": f"MOVE#sandbox#{movement.id}"}}
    shop.tables.dynamodb.delete_item(TableName=shop.tables.commerce, Key=key)
    report = reconcile(shop.context, LATER + READ_AGAIN + HOUR)
    assert report.statement is not None
    assert [(row.clearing, row.balance, row.difference) for row in report.statement] == [(0, 1_625, 1_625)]
    assert counted == [("payment_differences", 1), ("clearing_differences", 1)]


def test_a_balance_of_before_the_first_stored_movement_is_its_opening(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.pay(("mug", 1))
    much_later = NOW + 60 * DAY
    report = reconcile(shop.context, much_later)
    assert report.statement is not None
    assert [(row.opening, row.clearing, row.difference) for row in report.statement] == [(1_625, 1_625, 0)]
