"""The sandbox tells of payments by token: late, twice, or what came first last. The end is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.capture import EventPostponed, process_attempt, process_event
from chalicelib.capture.attempt import Superseded
from chalicelib.capture.provider_events import EventHandled
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import SandboxGateway
from chalicelib.payments.sandbox.webhooks import LATE_DELAY, REORDERED_DELAY, WEBHOOK_TOKENS
from chalicelib.purchase import Purchase, PurchaseState, PurchaseStore, RefundRequest
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture, once


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    """The shop hears of payments."""
    shop.put_drop("mug")
    gateway = SandboxGateway(shop.tables.dynamodb, shop.tables.sandbox, shop.context.events)
    return replace(shop, context=replace(shop.context, gateway=gateway), gateway=gateway)


def stored_events(shop: ShopFixture) -> dict[str, dict[str, Any]]:
    """What was told, by what happened."""
    items = shop.tables.dynamodb.scan(TableName=shop.tables.commerce, ConsistentRead=True)["Items"]
    records = [aws.from_item(item) for item in items if item["sk"]["S"] == "EVENT"]
    by_what = {record["provider_type"]: record for record in records}
    assert len(by_what) == len(records)
    return by_what


def process_all_events(shop: ShopFixture, now: int) -> None:
    for record in sorted(stored_events(shop).values(), key=lambda record: record.get("not_before", 0), reverse=True):
        assert process_event(shop.context, "sandbox", record["id"], now) in {Superseded(), EventHandled()}


def pay_with_token(shop: ShopFixture, token: str) -> Purchase:
    purchase = shop.place(("mug", 2), token=token)
    process_attempt(shop.context, purchase.id, 1, NOW)
    return shop.read(purchase.id)


@pytest.mark.parametrize("token", WEBHOOK_TOKENS)
def test_whatever_is_told_an_order_is_captured_and_given_back_once(shop: ShopFixture, token: str) -> None:
    order = pay_with_token(shop, token)
    line = order.lines[0]
    refund_order(shop.context, order.id, RefundRequest("r", "", ((line.id, 1),), True, "ann"), NOW)
    refunded = shop.read(order.id)
    assert set(stored_events(shop)) == {"authorised", "captured", "refunded"}
    process_all_events(shop, NOW + 2 * MINUTE)
    assert shop.read(order.id) == refunded
    assert (refunded.state, len(refunded.refunds)) == (PurchaseState.PAID, 1)
    (payment,) = shop.gateway.payments(0)
    assert sum(one.amount for one in payment.refunds) == refunded.refunds[0].amount
    assert shop.unit_counts("mug") == (2, 0, 1)


def test_what_is_told_late_is_not_looked_at_before(shop: ShopFixture) -> None:
    pay_with_token(shop, "webhooks_late")
    for record in stored_events(shop).values():
        assert record["not_before"] == NOW + LATE_DELAY
        assert process_event(shop.context, "sandbox", record["id"], NOW + 1) == EventPostponed(LATE_DELAY // SECOND)


def test_an_authorisation_is_told_of_after_its_capture(shop: ShopFixture) -> None:
    pay_with_token(shop, "webhooks_reordered")
    told = stored_events(shop)
    assert told["authorised"]["not_before"] == NOW + REORDERED_DELAY
    assert "not_before" not in told["captured"]


def test_a_capture_that_is_told_of_makes_the_order_whose_worker_died(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = shop.place(("mug", 2), token="webhooks_reordered")

    def dies() -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        once(patched, PurchaseStore, "replace", before=dies)
        with pytest.raises(SystemExit):
            process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PLACED
    process_event(shop.context, "sandbox", stored_events(shop)["captured"]["id"], NOW + MINUTE)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    process_all_events(shop, NOW + 2 * MINUTE)
    assert shop.unit_counts("mug") == (1, 0, 2)


def test_what_is_told_twice_is_told_twice(shop: ShopFixture) -> None:
    told: list[str] = []

    def note(params: dict[str, Any], **_: object) -> None:
        if params["Item"].get("sk") == {"S": "EVENT"}:
            told.append(params["Item"]["provider_type"]["S"])

    calls, name = shop.tables.dynamodb.meta.events, "provide-client-params.dynamodb.PutItem"
    calls.register(name, note)
    pay_with_token(shop, "webhooks_twice")
    calls.unregister(name, note)
    assert told == ["authorised", "authorised", "captured", "captured"]


def test_other_tokens_tell_nothing(shop: ShopFixture) -> None:
    pay_with_token(shop, "ok")
    assert stored_events(shop) == {}
