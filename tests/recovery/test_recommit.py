"""A repair commits each hold of a paid order again, without regard to its others."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import from_item
from chalicelib.instants import MINUTE, SECOND
from chalicelib.purchase import Purchase
from chalicelib.refunds import refund_order
from chalicelib.stock import HoldRef, Stock
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture, once
from tests.recovery.corruption import LATER, put_bucket, put_entry, read_entry, repaired

UNCOMMITTED_MUG = {"q": 2, "u": LATER // SECOND + 5}


def pay_for_jug_and_mug(shop: ShopFixture) -> tuple[Purchase, HoldRef, HoldRef]:
    """A paid order of two jugs and two mugs, with its holds."""
    for drop in ("jug", "mug"):
        shop.put_drop(drop, stock=9, now=NOW - 5 * MINUTE)
    paid = shop.pay(("jug", 2), ("mug", 2))
    return paid, paid.lines[0].holds[0], paid.lines[1].holds[0]


def jug_bucket(shop: ShopFixture, jug: HoldRef) -> dict[str, Any]:
    key = {"pk": {"S": f"jug#{jug.bucket}"}}
    return from_item(shop.tables.dynamodb.get_item(TableName=shop.tables.stock, Key=key, ConsistentRead=True)["Item"])


def test_units_under_another_orders_name_do_not_cost_a_paid_order_its_other_units(shop: ShopFixture) -> None:
    paid, jug, mug = pay_for_jug_and_mug(shop)
    record = jug_bucket(shop, jug)
    record["h"][jug.id] = {"q": 2, "o": "otherXXXX001"}
    put_bucket(shop, record)
    put_entry(shop, mug.id, {**UNCOMMITTED_MUG, "o": f"{paid.order_ref}001"})
    repaired(shop)
    assert read_entry(shop, mug.id) == {"q": 2, "o": f"{paid.order_ref}002"}
    rival = shop.open_purchase(("mug", 9), key="rival", now=LATER + 30 * SECOND)
    assert rival.lines[0].quantity == 7


def test_units_taken_meanwhile_do_not_cost_a_paid_order_its_other_units(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid, jug, mug = pay_for_jug_and_mug(shop)
    record = jug_bucket(shop, jug)
    record["h"][jug.id] = {"q": 2, "u": LATER // SECOND - 10}
    put_bucket(shop, record)
    put_entry(shop, mug.id, UNCOMMITTED_MUG)
    once(monkeypatch, Stock, "commit", before=lambda: shop.open_purchase(("jug", 9), key="rival", now=LATER))
    repaired(shop)
    assert jug.id not in jug_bucket(shop, jug)["h"]
    assert read_entry(shop, mug.id) == {"q": 2, "o": f"{paid.order_ref}001"}


def test_a_surplus_in_one_drop_does_not_cost_a_paid_order_its_units_of_another(shop: ShopFixture) -> None:
    paid, jug, mug = pay_for_jug_and_mug(shop)
    refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1), restock=True), NOW)
    record = jug_bucket(shop, jug)
    record["h"][jug.id]["q"], record["a"] = 2, record["a"] - 1
    put_bucket(shop, record)
    put_entry(shop, mug.id, UNCOMMITTED_MUG)
    repaired(shop)
    assert read_entry(shop, mug.id) == {"q": 2, "o": f"{paid.order_ref}001"}
