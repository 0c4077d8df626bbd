"""Events of refunds and disputes name an object; the order records what the provider has, not the event."""

from __future__ import annotations

import json
from random import Random

import pytest

from chalicelib.capture import EventPostponed, process_attempt, process_event, put_on_hold
from chalicelib.capture.refund_events import UNPAID_RETRY_PERIOD, UNPAID_RETRY_SECONDS, EventHandled
from chalicelib.finance import entries_of
from chalicelib.instants import DAY, MINUTE
from chalicelib.payments import EventKind, OutcomeUnknownError, ProviderEvent
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.purchase.order_status import OrderStatus, order_status_of
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour, faults
from tests.payments.stripe_requests import MARK, VISA
from tests.refunds.ledger_shop import TIME_ZONE, LedgerShop, a_ledger_shop

HOUR, A_DAY = 3_600, DAY / 1_000


@pytest.fixture
def account() -> Account:
    """Every second change has two events, and each comes twice, late and in another order than it was made."""
    late = ((4_000, 40_000), (1_000, 90_000), (9_000, 12_000))
    return Account(Behaviour.kind(event_delays=late, twin_event_every=2))


@pytest.fixture
def stripe_shop(shop: ShopFixture, account: Account) -> LedgerShop:
    return a_ledger_shop(shop, account)


@pytest.fixture
def counted_metrics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    for room in ("capture.provider_events", "capture.refund_events", "refunds.provider_refund", "refunds.disputes"):
        monkeypatch.setattr(f"chalicelib.{room}.count", names.append)
    return names


def payment_of(purchase: Purchase) -> str:
    assert purchase.payment is not None
    return purchase.payment.provider_id or ""


def refunds_of(purchase: Purchase) -> list[tuple[int, bool]]:
    return [(refund.amount, refund.completed_at is not None) for refund in purchase.refunds]


def test_console_refunds_are_recorded_once_whatever_events_come(stripe_shop: LedgerShop, account: Account) -> None:
    """Parts until the whole: each has late, doubled and twin events."""
    paid = stripe_shop.pay(("mug", 1))
    for amount in (100, 200, paid.totals.total - 300):
        account.console_refund(payment_of(paid), amount)
    stripe_shop.pass_time(HOUR)
    refunded = stripe_shop.read(paid)
    assert sorted(refunds_of(refunded)) == [(100, True), (200, True), (paid.totals.total - 300, True)]
    assert order_status_of(refunded) is OrderStatus.REFUNDED


def test_pending_console_refund_is_recorded_as_pending_and_posted_when_done(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(refund_status="pending", refund_takes=30 * MINUTE)))
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.console_refund(payment_of(paid), 100)
    stripe_shop.pass_time(60)
    assert refunds_of(stripe_shop.read(paid)) == [(100, False)]
    stripe_shop.account.fail_refund(stripe_shop.read(paid).refunds[0].provider_id or "")
    stripe_shop.pass_time(HOUR)
    assert stripe_shop.read(paid).refunds[0].failure_code == "expired_or_canceled_card"
    assert stripe_shop.money_at_stripe(paid) == paid.totals.total


def test_late_picture_of_a_refund_that_has_failed_since_posts_nothing(shop: ShopFixture) -> None:
    """STRIPE-FACTS 0.3: the event's picture says "succeeded", and the refund has failed when the event comes."""
    behaviour = Behaviour.kind(refund_status="pending", refund_success_sends_updated=True)
    stripe_shop = a_ledger_shop(shop, Account(behaviour))
    paid = stripe_shop.pay(("mug", 1))
    made = stripe_shop.account.console_refund(payment_of(paid), 100)
    events = stripe_shop.deliveries(HOUR)
    pictures = [json.loads(one.body)["data"]["object"] for one in events if one.event["type"].startswith("refund.")]
    assert [one["status"] for one in pictures] == ["pending", "succeeded"]
    stripe_shop.account.fail_refund(made["id"])
    stripe_shop.receive(events)
    assert refunds_of(stripe_shop.read(paid)) == []
    stripe_shop.pass_time(A_DAY)
    assert refunds_of(stripe_shop.read(paid)) == []


def test_released_hold_of_another_attempt_is_no_refund(stripe_shop: LedgerShop, account: Account) -> None:
    """STRIPE-FACTS 0.1: the hold of attempt 1 is released, which Stripe calls a refund; attempt 2 pays."""
    context = stripe_shop.context
    paid = stripe_shop.pay(("mug", 1))
    about = {"livedrop": MARK, "purchase": paid.id, "attempt": "9"}
    client = account.client()
    held = client.v1.payment_intents.create(
        {
            "amount": paid.totals.total,
            "currency": "gbp",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": VISA,
            "allowed_payment_method_types": ["card"],
            "metadata": about,
        }
    )
    client.v1.payment_intents.cancel(held.id)
    events = stripe_shop.deliveries(HOUR)
    assert {"refund.created", "charge.refunded"} <= {one.event["type"] for one in events}
    stripe_shop.receive(events)
    assert refunds_of(stripe_shop.read(paid)) == []
    assert order_status_of(context.purchases.read(paid.id) or paid) is OrderStatus.PAID


def test_event_of_our_own_refund_moves_it_on(shop: ShopFixture) -> None:
    behaviour = Behaviour.kind(refund_status="pending", refund_takes=MINUTE, refund_success_sends_updated=True)
    stripe_shop = a_ledger_shop(shop, Account(behaviour))
    paid = stripe_shop.pay(("mug", 2))
    refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1), restock=True), NOW)
    stripe_shop.pass_time(HOUR)
    done = stripe_shop.read(paid)
    assert [(refund.restocked, refund.completed_at is not None) for refund in done.refunds] == [(True, True)]
    assert stripe_shop.shop.unit_counts("mug") == (2, 0, 1)


def captured_but_not_paid(stripe_shop: LedgerShop, account: Account) -> Purchase:
    """Take the money of a placed order in the console, so that the order is not paid yet."""
    purchase = stripe_shop.shop.place(("mug", 1), token=VISA)
    context = stripe_shop.context
    account.client().v1.payment_intents.create(
        {
            "amount": purchase.totals.total,
            "currency": "gbp",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": VISA,
            "allowed_payment_method_types": ["card"],
            "metadata": {"livedrop": MARK, "purchase": purchase.id, "attempt": "1"},
        },
        {"idempotency_key": f"{purchase.id}:1:create"},
    )
    account.console_capture(account.records("payment_intent")[0]["id"])
    assert context.purchases.read(purchase.id) == purchase
    return purchase


def test_refund_before_the_order_is_paid_waits_and_is_recorded(stripe_shop: LedgerShop, account: Account) -> None:
    """Finding 7: a console refund, then the order's message again. The order is paid, and ends refunded."""
    purchase = captured_but_not_paid(stripe_shop, account)
    account.console_refund(account.records("payment_intent")[0]["id"])
    events = [one for one in stripe_shop.deliveries(HOUR) if one.event["type"].startswith(("refund.", "charge."))]
    waiting = stripe_shop.receive(events)
    assert set(waiting) == {EventPostponed(UNPAID_RETRY_SECONDS)}
    process_attempt(stripe_shop.context, purchase.id, 1, stripe_shop.now)
    for delivery in events:
        process_event(stripe_shop.context, "stripe", delivery.event["id"], stripe_shop.now)
    refunded = stripe_shop.read(purchase)
    assert refunds_of(refunded) == [(purchase.totals.total, True)]
    assert order_status_of(refunded) is OrderStatus.REFUNDED
    assert sum(entry.amount for entry in entries_of(refunded, TIME_ZONE)) == 0
    assert stripe_shop.money_at_stripe(refunded) == 0


def test_refund_before_the_order_is_paid_is_recorded_with_the_payment_if_its_events_are_lost(
    stripe_shop: LedgerShop, account: Account
) -> None:
    purchase = captured_but_not_paid(stripe_shop, account)
    account.console_refund(account.records("payment_intent")[0]["id"], 100)
    stripe_shop.deliveries(HOUR)
    process_attempt(stripe_shop.context, purchase.id, 1, stripe_shop.now)
    refunded = stripe_shop.read(purchase)
    assert (refunded.state, refunds_of(refunded)) == (PurchaseState.PAID, [(100, True)])


def test_event_whose_order_is_never_paid_ends_with_an_alarm(
    stripe_shop: LedgerShop, account: Account, counted_metrics: list[str]
) -> None:
    captured_but_not_paid(stripe_shop, account)
    account.console_refund(account.records("payment_intent")[0]["id"])
    (event, *_) = [one for one in stripe_shop.deliveries(HOUR) if one.event["type"] == "refund.created"]
    assert stripe_shop.receive([event]) == [EventPostponed(UNPAID_RETRY_SECONDS)]
    late = stripe_shop.now + UNPAID_RETRY_PERIOD
    assert not isinstance(process_event(stripe_shop.context, "stripe", event.event["id"], late), EventPostponed)
    assert counted_metrics == ["unmatched_refunds"]


def test_refund_of_a_payment_that_paid_for_no_order_is_left_aside(
    stripe_shop: LedgerShop, account: Account, counted_metrics: list[str]
) -> None:
    """A person refunds a payment of an attempt that did not pay the order."""
    paid = stripe_shop.pay(("mug", 1))
    client = account.client()
    other = client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "gbp",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": VISA,
            "allowed_payment_method_types": ["card"],
            "metadata": {"livedrop": MARK, "purchase": paid.id, "attempt": "2"},
        }
    )
    account.console_capture(other.id)
    account.console_refund(other.id)
    stripe_shop.receive([one for one in stripe_shop.deliveries(HOUR) if one.event["type"].startswith("refund.")])
    assert refunds_of(stripe_shop.read(paid)) == []
    assert "unmatched_refunds" not in counted_metrics


def test_foreign_and_unknown_refunds_disputes_and_warnings_change_nothing(
    stripe_shop: LedgerShop, account: Account
) -> None:
    paid = stripe_shop.pay(("mug", 1))
    foreign = account.foreign_payment()["id"]
    account.console_refund(foreign, 100)
    account.open_dispute(foreign)
    account.warn_of_fraud(foreign)
    assert stripe_shop.pass_time(HOUR) == []
    assert stripe_shop.read(paid) == paid


def test_fraud_warning_is_counted(stripe_shop: LedgerShop, account: Account, counted_metrics: list[str]) -> None:
    paid = stripe_shop.pay(("mug", 1))
    account.warn_of_fraud(payment_of(paid))
    stripe_shop.receive(one for one in stripe_shop.deliveries(HOUR) if one.event["type"].startswith("radar."))
    assert "fraud_warnings" in counted_metrics
    assert stripe_shop.read(paid) == paid


@pytest.mark.parametrize("seed", range(6))
def test_everything_stripe_sends_in_any_order_leaves_order_and_stripe_equal(shop: ShopFixture, seed: int) -> None:
    """Refunds that fail, console refunds, and a dispute; all their events shuffled, lost and doubled."""
    random = Random(seed)
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(twin_event_every=2)))
    account, context = stripe_shop.account, stripe_shop.context
    paid = stripe_shop.pay(("mug", 2))
    events = stripe_shop.deliveries(60)
    refund_order(context, paid.id, a_refund_request((paid.lines[0].id, 1), restock=True), stripe_shop.now)
    account.console_refund(payment_of(paid), 100)
    failing = account.console_refund(payment_of(paid), 200)
    events += stripe_shop.deliveries(60)
    if random.random() < 0.5:
        stripe_shop.receive(random.sample(events, len(events) // 2))
    account.fail_refund(failing["id"])
    account.fail_refund(stripe_shop.read(paid).refunds[0].provider_id or "")
    events += stripe_shop.deliveries(HOUR)
    random.shuffle(events)
    stripe_shop.receive([*events, *random.sample(events, 3)])
    after = stripe_shop.read(paid)
    assert sum(entry.amount for entry in entries_of(after, TIME_ZONE)) == stripe_shop.money_at_stripe(after)
    assert {amount for amount, _ in refunds_of(after)} >= {100}


def test_event_of_a_refund_whose_movement_never_comes_waits_longer_and_ends(
    shop: ShopFixture, counted_metrics: list[str]
) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(balance_transaction_delay=3_650 * DAY)))
    context, account = stripe_shop.context, stripe_shop.account
    placed = stripe_shop.shop.place(("mug", 1), token=VISA)
    account.fail_next("payment_intents.capture", faults.closed())
    with pytest.raises(OutcomeUnknownError):
        process_attempt(context, placed.id, 1, NOW)
    put_on_hold(context, placed.id, "ann", NOW)
    account.console_capture(account.records("payment_intent")[0]["id"], 1_000)
    (rest,) = account.records("refund")
    event = ProviderEvent("evt_1", "stripe", EventKind.REFUND, "refund.created", provider_refund_id=rest["id"])
    context.events.add(event, NOW)
    with pytest.raises(OutcomeUnknownError):
        process_event(context, "stripe", "evt_1", NOW)
    assert process_event(context, "stripe", "evt_1", NOW + DAY) == EventPostponed(UNPAID_RETRY_SECONDS)
    assert "unmatched_refunds" not in counted_metrics
    assert process_event(context, "stripe", "evt_1", NOW + UNPAID_RETRY_PERIOD) == EventHandled()
    assert "unmatched_refunds" in counted_metrics
