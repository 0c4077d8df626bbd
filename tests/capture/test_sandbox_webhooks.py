"""The sandbox emits events as the token chooses: late, twice, or in reverse order. The end is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.capture import EventPostponed, process_attempt, process_event
from chalicelib.capture.attempt import Superseded
from chalicelib.capture.refund_events import EventHandled
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import SandboxGateway
from chalicelib.payments.sandbox.webhooks import LATE_DELAY, REORDERED_DELAY, WEBHOOK_TOKENS
from chalicelib.purchase import Purchase, PurchaseState, PurchaseStore, RefundRequest
from chalicelib.purchase.order_status import OrderStatus, order_status_of
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture, once


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    """The sandbox stores events for this shop."""
    shop.put_drop("mug")
    gateway = SandboxGateway(shop.tables.dynamodb, shop.tables.sandbox, shop.context.events)
    return replace(shop, context=replace(shop.context, gateway=gateway), gateway=gateway)


def stored_events(shop: ShopFixture) -> dict[str, dict[str, Any]]:
    """Return the stored events, by the provider's name for each kind."""
    items = shop.tables.dynamodb.scan(TableName=shop.tables.commerce, ConsistentRead=True)["Items"]
    records = [aws.from_item(item) for item in items if item["sk"]["S"] == "EVENT"]
    by_type = {record["provider_type"]: record for record in records}
    assert len(by_type) == len(records)
    return by_type


def process_all_events(shop: ShopFixture, now: int) -> None:
    for record in sorted(stored_events(shop).values(), key=lambda record: record.get("not_before", 0), reverse=True):
        assert process_event(shop.context, "sandbox", record["id"], now) in {Superseded(), EventHandled()}


def pay_with_token(shop: ShopFixture, token: str) -> Purchase:
    purchase = shop.place(("mug", 2), token=token)
    process_attempt(shop.context, purchase.id, 1, NOW)
    return shop.read(purchase.id)


@pytest.mark.parametrize("token", WEBHOOK_TOKENS)
def test_an_order_is_captured_and_refunded_once_whatever_events_arrive(shop: ShopFixture, token: str) -> None:
    order = pay_with_token(shop, token)
    line = order.lines[0]
    refund_order(shop.context, order.id, RefundRequest("r", "", ((line.id, 1),), True, "ann"), NOW)
    refunded = shop.read(order.id)
    assert set(stored_events(shop)) == {"authorised", "captured", "refunded"}
    process_all_events(shop, NOW + 2 * MINUTE)
    assert shop.read(order.id) == refunded
    assert (refunded.state, len(refunded.refunds)) == (PurchaseState.PAID, 1)
    refunds = shop.gateway.refunds_of(f"sbx_{order.id}#1", now=NOW)
    assert [one.amount for one in refunds] == [refunded.refunds[0].amount]
    assert shop.unit_counts("mug") == (2, 0, 1)


def test_a_late_event_is_postponed_until_its_instant(shop: ShopFixture) -> None:
    pay_with_token(shop, "webhooks_late")
    for record in stored_events(shop).values():
        assert record["not_before"] == NOW + LATE_DELAY
        assert process_event(shop.context, "sandbox", record["id"], NOW + 1) == EventPostponed(LATE_DELAY // SECOND)


def test_a_reordered_authorisation_event_arrives_after_its_captures(shop: ShopFixture) -> None:
    pay_with_token(shop, "webhooks_reordered")
    events = stored_events(shop)
    assert events["authorised"]["not_before"] == NOW + REORDERED_DELAY
    assert "not_before" not in events["captured"]


def test_a_capture_event_makes_an_order_paid_whose_worker_died(
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


def test_a_doubled_event_is_stored_twice(shop: ShopFixture) -> None:
    stored: list[str] = []

    def note(params: dict[str, Any], **_: object) -> None:
        if params["Item"].get("sk") == {"S": "EVENT"}:
            stored.append(params["Item"]["provider_type"]["S"])

    calls, name = shop.tables.dynamodb.meta.events, "provide-client-params.dynamodb.PutItem"
    calls.register(name, note)
    pay_with_token(shop, "webhooks_twice")
    calls.unregister(name, note)
    assert stored == ["authorised", "authorised", "captured", "captured"]


def test_other_tokens_emit_no_events(shop: ShopFixture) -> None:
    pay_with_token(shop, "ok")
    assert stored_events(shop) == {}


@pytest.mark.parametrize(
    ("token", "status"), [("dispute_won", OrderStatus.PAID), ("dispute_lost", OrderStatus.CHARGED_BACK)]
)
def test_a_dispute_of_the_sandbox_ends_at_its_order(shop: ShopFixture, token: str, status: OrderStatus) -> None:
    order = pay_with_token(shop, token)
    events = stored_events(shop)
    assert set(events) == {"dispute_opened", "dispute_closed"}
    early = process_event(shop.context, "sandbox", events["dispute_opened"]["id"], NOW)
    assert early == EventPostponed(60)
    process_event(shop.context, "sandbox", events["dispute_opened"]["id"], NOW + MINUTE)
    assert order_status_of(shop.read(order.id)) is OrderStatus.DISPUTED
    process_event(shop.context, "sandbox", events["dispute_closed"]["id"], NOW + 2 * MINUTE)
    assert order_status_of(shop.read(order.id)) is status


@pytest.mark.parametrize(("token", "failed"), [("refund_pending", False), ("refund_fails", True)])
def test_a_refund_of_the_sandbox_that_ends_later_ends_at_its_order(shop: ShopFixture, token: str, failed: bool) -> None:
    order = pay_with_token(shop, token)
    refund_order(shop.context, order.id, RefundRequest("r", "", ((order.lines[0].id, 1),), False, "ann"), NOW)
    (refund,) = shop.read(order.id).refunds
    assert (refund.completed_at is not None) == failed, "one is pending, and the other seems done"
    process_all_events(shop, NOW + MINUTE)
    (ended,) = shop.read(order.id).refunds
    assert (ended.failure_code is not None, ended.failed_at is not None) == (failed, failed)
    assert ended.completed_at is not None
