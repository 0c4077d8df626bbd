"""Damage to a drop, made through the AWS API as no verb of ours makes it; and the audit's answers in short."""

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
"""Holds of five minutes have not lapsed yet."""


def time_is_never_up() -> bool:
    return False


def audit_after_refresh(shop: ShopFixture, now: Instant = LATER) -> DropAudit:
    """An audit, once the stream has brought the live summary up to date."""
    update_summary(shop, now)
    return audited_with_stale_summary(shop, now)


def update_summary(shop: ShopFixture, now: Instant) -> None:
    """What the stream of the stock table does within a second."""
    record = shop.shows.drop_with_plan("mug")
    assert record is not None
    shop.stock.refresh(record.drop.pool, now)


def audited_with_stale_summary(shop: ShopFixture, now: Instant = LATER) -> DropAudit:
    """An audit, though the stream may have fallen behind."""
    return audit_drop(shop.context, "mug", now, time_is_never_up)


def hold_faults(shop: ShopFixture, now: Instant = LATER) -> list[HoldFault]:
    return [one.fault for one in audit_after_refresh(shop, now).discrepancies]


def is_clean(shop: ShopFixture, now: Instant = LATER) -> bool:
    found = audit_after_refresh(shop, now)
    return found.complete and not found.discrepancies and not found.mismatches


def repaired(shop: ShopFixture, now: Instant = LATER) -> tuple[DropAudit, RepairReport, list[tuple[str, int]]]:
    """A repair, once the stream has brought the live summary up to date, and what the capture worker was told."""
    update_summary(shop, now)
    enqueued: list[tuple[str, int]] = []
    found, report = repair_stock(shop.context, "mug", lambda *one: enqueued.append(one), now, time_is_never_up)
    return found, report, enqueued


def bucket(shop: ShopFixture, number: int = 0) -> dict[str, Any]:
    item = shop.tables.dynamodb.get_item(
        TableName=shop.tables.stock, Key={"pk": {"S": f"mug#{number}"}}, ConsistentRead=True
    )["Item"]
    return from_item(item)


def put_bucket(shop: ShopFixture, record: dict[str, Any]) -> None:
    shop.tables.dynamodb.put_item(TableName=shop.tables.stock, Item=to_item(record))


def read_entry(shop: ShopFixture, hold: str) -> dict[str, Any]:
    found: dict[str, Any] = bucket(shop)["h"][hold]
    return found


def put_entry(shop: ShopFixture, hold: str, record: dict[str, Any]) -> None:
    """Put an entry in place of another; bucket's units are counted anew, so that only purchases are contradicted."""
    whole = bucket(shop)
    before = whole["h"].get(hold, {"q": 0})["q"]
    whole["h"][hold] = record
    whole["a"] += before - record["q"]
    put_bucket(shop, whole)


def drop_entry(shop: ShopFixture, hold: str) -> None:
    whole = bucket(shop)
    whole["a"] += whole["h"].pop(hold)["q"]
    put_bucket(shop, whole)


def set_attributes(shop: ShopFixture, purchase: Purchase, **changes: Any) -> None:
    """Change attributes of a purchase's item."""
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
