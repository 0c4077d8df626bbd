"""Provider events are stored once and processed whenever and in whatever order they arrive."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from chalicelib.capture import EventOutcome, EventPostponed, process_attempt, process_event, store_event
from chalicelib.capture.attempt import Paid, Superseded
from chalicelib.capture.provider_events import IN_PROGRESS_RETRY_SECONDS
from chalicelib.capture.refund_events import EventHandled
from chalicelib.capture.three_d_secure import CHALLENGE_SECONDS
from chalicelib.errors import BadInput
from chalicelib.instants import DAY, MINUTE, SECOND
from chalicelib.payments import Declined, EventKind, ProviderEvent, ProviderRefund, parse_stripe_event
from chalicelib.purchase import Purchase, PurchaseState, RefundRequest, excess_of
from chalicelib.refunds import refund_order
from chalicelib.refunds.allocation import allocate_refund
from chalicelib.refunds.refund import with_refund
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture

MONTH = 30 * DAY


def a_payment_event(purchase: Purchase, provider_type: str = "authorised", **changes: Any) -> ProviderEvent:
    standard = {
        "payment_id": f"sbx_{purchase.id}#1",
        "purchase_id": purchase.id,
        "attempt": 1,
        "amount": purchase.totals.total,
        "currency": purchase.currency,
    }
    return ProviderEvent(f"evt_{provider_type}", "sandbox", EventKind.PAYMENT, provider_type, **{**standard, **changes})


def an_external_refund(shop: ShopFixture, paid: Purchase, amount: int, name: str = "console") -> ProviderEvent:
    """Refund in the provider's console, and return the event of it."""
    payment_id = f"sbx_{paid.id}#1"
    made = shop.gateway.refund(payment_id, refund_id=name, amount=amount, now=NOW)
    assert isinstance(made, ProviderRefund)
    return ProviderEvent(
        f"evt_{name}",
        "sandbox",
        EventKind.REFUND,
        "refund.created",
        payment_id=payment_id,
        provider_refund_id=made.provider_refund_id,
    )


def receive(shop: ShopFixture, event: ProviderEvent, now: int = NOW) -> EventOutcome:
    store_event(shop.context, event, now)
    return process_event(shop.context, event.provider, event.id, now)


@pytest.fixture
def counted_metrics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    for room in ("capture.provider_events", "capture.refund_events", "refunds.provider_refund", "capture.fail_attempt"):
        monkeypatch.setattr(f"chalicelib.{room}.count", names.append)
    return names


def authenticated_purchase(shop: ShopFixture) -> Purchase:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1), token="requires_action")
    process_attempt(shop.context, placed.id, 1, NOW)
    assert shop.gateway.answer_challenge(placed.id, 1, proved=True)
    return shop.read(placed.id)


def test_an_event_is_stored_once_and_moves_the_waiting_purchase_on(shop: ShopFixture) -> None:
    purchase = authenticated_purchase(shop)
    event = a_payment_event(purchase)
    assert [store_event(shop.context, event, NOW) for _ in range(2)] == ["stored", "repeated"]
    outcomes = [process_event(shop.context, "sandbox", event.id, NOW) for _ in range(2)]
    assert outcomes == [Paid(), Superseded()]
    assert shop.read(purchase.id).state is PurchaseState.PAID
    assert shop.unit_counts("mug") == (2, 0, 1)


def test_an_event_that_a_paid_order_knows_is_not_stored(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    assert store_event(shop.context, a_payment_event(paid, "captured"), NOW) == "known"
    assert shop.context.events.read("sandbox", "evt_captured") is None


def test_an_event_of_an_attempt_in_progress_is_postponed(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    assert receive(shop, a_payment_event(placed)) == EventPostponed(IN_PROGRESS_RETRY_SECONDS)
    assert shop.read(placed.id) == placed
    assert process_event(shop.context, "sandbox", "evt_authorised", NOW + 2 * MINUTE) == Paid()
    assert shop.read(placed.id).state is PurchaseState.PAID


def test_an_authentication_reported_after_the_deadline_is_voided(shop: ShopFixture) -> None:
    purchase = authenticated_purchase(shop)
    late = NOW + CHALLENGE_SECONDS * SECOND
    receive(shop, a_payment_event(purchase), late)
    assert shop.read(purchase.id).state is PurchaseState.OPEN
    assert isinstance(shop.gateway.find(purchase.id, 1, now=late), Declined)


@pytest.mark.parametrize("changes", [{"amount": 1}, {"currency": "USD"}])
def test_an_event_with_another_amount_or_currency_changes_nothing_and_raises_an_alarm(
    shop: ShopFixture, counted_metrics: list[str], changes: dict[str, Any]
) -> None:
    purchase = authenticated_purchase(shop)
    assert receive(shop, a_payment_event(purchase, **changes)) == EventHandled()
    assert shop.read(purchase.id) == purchase
    assert counted_metrics == ["payment_event_mismatches"]


def test_an_event_of_no_order_changes_nothing_and_raises_an_alarm(
    shop: ShopFixture, counted_metrics: list[str]
) -> None:
    purchase = authenticated_purchase(shop)
    for changes in ({"purchase_id": "x" * 22}, {"purchase_id": None}, {"attempt": None}):
        receive(shop, a_payment_event(purchase, f"of {changes}", **changes))
    receive(shop, ProviderEvent("evt_x", "sandbox", EventKind.REFUND, "refund.created"))
    assert counted_metrics == [*["unmatched_payment_events"] * 3, "payment_events_ignored"]
    assert shop.read(purchase.id) == purchase
    assert process_event(shop.context, "sandbox", "unknown", NOW) == EventHandled()


def test_events_replayed_after_a_month_change_nothing(shop: ShopFixture) -> None:
    purchase = authenticated_purchase(shop)
    receive(shop, a_payment_event(purchase))
    paid = shop.read(purchase.id)
    assert store_event(shop.context, a_payment_event(purchase, attempt=9), NOW + MONTH) == "repeated"
    process_event(shop.context, "sandbox", "evt_authorised", NOW + MONTH)
    assert shop.read(purchase.id) == paid


def test_events_in_any_order_lead_to_the_same_state(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    states = set()
    for number, order in enumerate(permutations(range(3))):
        placed = shop.place(("mug", 1), token="requires_action", key=f"key-{number}")
        process_attempt(shop.context, placed.id, 1, NOW)
        assert shop.gateway.answer_challenge(placed.id, 1, proved=True)
        events = [a_payment_event(placed, f"{name}-{number}") for name in ("authorised", "captured", "asked")]
        for index in order:
            receive(shop, events[index])
        states.add(shop.read(placed.id).state)
    assert states == {PurchaseState.PAID}
    assert shop.unit_counts("mug") == (3, 0, 6)


def test_a_refund_of_the_providers_console_is_recorded_once(shop: ShopFixture, counted_metrics: list[str]) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 2))
    event = an_external_refund(shop, paid, 700)
    for name in ("evt_a", "evt_b"):
        receive(shop, replace(event, id=name))
    after = shop.read(paid.id)
    (refund,) = after.refunds
    assert (refund.amount, refund.provider_id) == (700, event.provider_refund_id)
    assert (refund.requested_by, refund.restock, refund.completed_at) == ("provider", False, NOW)
    assert all(part.quantity == 0 for part in refund.lines)
    assert counted_metrics == ["external_refunds"]


def test_refund_beyond_the_rest_of_its_order_is_recorded_whole(shop: ShopFixture, counted_metrics: list[str]) -> None:
    """The order has a refund that the provider does not have, so that less is left of it than at the provider."""
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 2))
    request = RefundRequest("key", "", (), False, "ann", amount=700)
    recorded = with_refund(paid, request, allocate_refund(paid, request), NOW, completed_at=NOW, provider_id="gone")
    shop.context.purchases.replace(recorded)
    receive(shop, an_external_refund(shop, paid, paid.totals.total))
    after = shop.read(paid.id)
    assert after.refunds[:-1] == recorded.refunds
    assert (after.refunds[-1].amount, excess_of(after, after.refunds[-1])) == (paid.totals.total, 700)
    assert counted_metrics == ["external_refunds"]


def test_an_event_of_our_own_refund_records_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 2))
    after, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    event = ProviderEvent("evt_1", "sandbox", EventKind.REFUND, "refund.created", f"sbx_{paid.id}#1")
    receive(shop, replace(event, provider_refund_id=refund.provider_id))
    receive(shop, replace(event, id="evt_2"))
    receive(shop, replace(event, id="evt_3", provider_refund_id="re_other"))
    assert shop.read(paid.id) == after


def test_an_event_of_stripe_is_parsed(shop: ShopFixture) -> None:
    intent = {
        "id": "pi_1",
        "amount": 1_670,
        "currency": "gbp",
        "metadata": {"livedrop": "livedrop", "purchase": "p1", "attempt": "2"},
    }
    body = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": intent}}
    assert parse_stripe_event(body, "livedrop") == ProviderEvent(
        "evt_1", "stripe", EventKind.PAYMENT, "payment_intent.succeeded", "pi_1", "p1", 2, 1_670, "GBP"
    )
    assert parse_stripe_event(body, "another-shop").kind is EventKind.OTHER
    refund = {"id": "re_1", "payment_intent": "pi_1", "amount": 5, "currency": "gbp", "status": "succeeded"}
    read = parse_stripe_event({"id": "evt_2", "type": "refund.created", "data": {"object": refund}}, "livedrop")
    assert (read.kind, read.payment_id, read.provider_refund_id) == (EventKind.REFUND, "pi_1", "re_1")
    failed = {"id": "evt_3", "type": "refund.updated", "data": {"object": refund | {"status": "failed"}}}
    assert parse_stripe_event(failed, "livedrop").kind is EventKind.REFUND
    assert parse_stripe_event({"id": "evt_4", "type": "customer.created"}, "livedrop").kind is EventKind.OTHER


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "$.id"),
        ({"id": "evt_1"}, "$.type"),
        ({"id": 1, "type": "x"}, "$.id"),
        ({"id": "evt_1", "type": "payment_intent.succeeded"}, "$.data.object"),
        ({"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {}}}, "$.id"),
        ({"id": "evt_1", "type": "refund.created", "data": {"object": []}}, "$.data.object"),
    ],
)
def test_a_malformed_event_is_refused_with_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_stripe_event(body, "livedrop")
    assert refusal.value.field == field


def test_an_event_with_malformed_metadata_matches_no_order() -> None:
    intent = {"id": "pi_1", "amount": "5", "currency": 7, "metadata": ["purchase"]}
    event = parse_stripe_event(
        {"id": "evt_1", "type": "payment_intent.canceled", "data": {"object": intent}}, "livedrop"
    )
    assert (event.purchase_id, event.attempt, event.amount) == (None, None, None)
