"""Corrupt a drop through the AWS API, as no verb of the product does; audit and repair it in one call."""

from __future__ import annotations

from typing import Any

from chalicelib.aws import from_item, to_attribute, to_item
from chalicelib.instants import MINUTE, SECOND, Instant, rfc3339
from chalicelib.purchase import Purchase
from chalicelib.recovery import DropAudit, HoldFault, RepairReport, audit_drop, repair_stock
from chalicelib.shows import PutDropRequest
from chalicelib.stock import HoldRef, Taken, hold_id
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture

LATER: Instant = NOW + 2 * MINUTE
MUCH_LATER: Instant = NOW + 4 * MINUTE
"""A hold of five minutes has not expired yet."""


def time_is_never_up() -> bool:
    return False


def audit_after_refresh(shop: ShopFixture, now: Instant = LATER) -> DropAudit:
    """Audit after the stream has brought the live summary up to date."""
    update_summary(shop, now)
    return audited_with_stale_summary(shop, now)


def update_summary(shop: ShopFixture, now: Instant) -> None:
    """Refresh the live summary, as the stream of the stock table does within a second."""
    record = shop.shows.drop_with_plan("mug")
    assert record is not None
    shop.stock.refresh(record.drop.pool, now)


def audited_with_stale_summary(shop: ShopFixture, now: Instant = LATER) -> DropAudit:
    """Audit although the stream may have fallen behind."""
    return audit_drop(shop.context, "mug", now, time_is_never_up)


def hold_faults(shop: ShopFixture, now: Instant = LATER) -> list[HoldFault]:
    return [one.fault for one in audit_after_refresh(shop, now).discrepancies]


def is_clean(shop: ShopFixture, now: Instant = LATER) -> bool:
    found = audit_after_refresh(shop, now)
    return found.complete and not found.discrepancies and not found.mismatches


def repaired(shop: ShopFixture, now: Instant = LATER) -> tuple[DropAudit, RepairReport, list[tuple[str, int]]]:
    """Repair after the stream has brought the live summary up to date; also return the enqueued attempts."""
    update_summary(shop, now)
    enqueued: list[tuple[str, int]] = []
    found, report = repair_stock(shop.context, "mug", lambda *attempt: enqueued.append(attempt), now, time_is_never_up)
    return found, report, enqueued


def bucket(shop: ShopFixture, number: int = 0) -> dict[str, Any]:
    item = shop.tables.dynamodb.get_item(
        TableName=shop.tables.stock, Key={"pk": {"S": f"mug#{number}"}}, ConsistentRead=True
    )["Item"]
    return from_item(item)


def put_bucket(shop: ShopFixture, record: dict[str, Any]) -> None:
    shop.tables.dynamodb.put_item(TableName=shop.tables.stock, Item=to_item(record))


def read_entry(shop: ShopFixture, hold: str) -> dict[str, Any]:
    entry: dict[str, Any] = bucket(shop)["h"][hold]
    return entry


def put_entry(shop: ShopFixture, hold: str, record: dict[str, Any]) -> None:
    """Replace a hold's entry and adjust ``available``, so that the bucket contradicts only purchases."""
    item = bucket(shop)
    before = item["h"].get(hold, {"q": 0})["q"]
    item["h"][hold] = record
    item["a"] += before - record["q"]
    put_bucket(shop, item)


def drop_entry(shop: ShopFixture, hold: str) -> None:
    item = bucket(shop)
    item["a"] += item["h"].pop(hold)["q"]
    put_bucket(shop, item)


def set_attributes(shop: ShopFixture, purchase: Purchase, **changes: Any) -> None:
    """Set attributes of a purchase's item."""
    shop.tables.dynamodb.update_item(
        TableName=shop.tables.commerce,
        Key={"pk": {"S": f"PURCHASE#{purchase.id}"}, "sk": {"S": "PURCHASE"}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in changes),
        ExpressionAttributeNames={f"#{name}": name for name in changes},
        ExpressionAttributeValues={f":{name}": to_attribute(value) for name, value in changes.items()},
    )


def hold_of(purchase: Purchase) -> HoldRef:
    return purchase.lines[0].holds[0]


def orphan_hold(shop: ShopFixture, quantity: int = 1, now: Instant = NOW) -> HoldRef:
    offer = shop.shows.offer("mug", now)
    assert offer is not None
    name = hold_id("x" * 22, "mug", 1, quantity)
    expires_at = now // SECOND + offer.drop.hold_seconds
    answer = shop.stock.take(offer.drop.pool, name, quantity, expires_at, None, now=now)
    assert isinstance(answer, Taken)
    return answer.hold


def a_mug(**changes: Any) -> PutDropRequest:
    return PutDropRequest.model_validate(
        {
            "show_id": "tonight", "sku": "sku-mug", "title": "The mug", "stock": 9,
            "unit_price": {"amount": 1_275, "currency": "GBP"}, "opens_at": rfc3339(NOW - 5 * MINUTE), **changes,
        }
    )  # fmt: skip
