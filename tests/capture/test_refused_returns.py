"""Money received for no paid order that cannot be returned: the order ends all the same, and the money is named."""

from __future__ import annotations

from functools import partial

import pytest

from chalicelib.capture import cancel_order
from chalicelib.capture.attempt import MAX_ORDER_HOLD, Cancelled, Failed, Superseded
from chalicelib.checkout import complete_purchase, find_purchase
from chalicelib.errors import WriteConflict
from chalicelib.instants import DAY, HOUR, MINUTE
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import CheckoutResult, MoneyState, Purchase, PurchaseState, money_at_provider
from tests.builders.purchases import a_complete_request
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture, once
from tests.builders.stripe_shop import StripeShop, a_stripe_shop, authorised_on_hold

REFUND_FAILS = "pm_card_refundFailAtOnce"


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> StripeShop:
    shop.put_drop("mug", stock=2)
    return a_stripe_shop(shop)


def part_captured_on_hold(stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, token: str) -> tuple[Purchase, str]:
    placed, intent = authorised_on_hold(stripe_shop, monkeypatch, token)
    stripe_shop.account.console_capture(intent, 1_000)
    stripe_shop.advance(2 * MINUTE)
    return placed, intent


def part_captured_while_placed(stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, token: str) -> Purchase:
    placed = stripe_shop.place(token)

    def capture_a_part() -> None:
        (intent,) = stripe_shop.intents()
        stripe_shop.account.console_capture(intent, 1_000)

    once(monkeypatch, StripeGateway, "capture", before=capture_a_part)
    return placed


def named_by_the_comparison(stripe_shop: StripeShop) -> list[tuple[object, ...]]:
    stripe_shop.advance(3 * DAY)
    comparison = compare_all(stripe_shop.context, stripe_shop.now)
    return [(one["kind"], one["subject"], one["expected"], one["found"]) for one in comparison.differences]


def returns(stripe_shop: StripeShop) -> list[str]:
    return [one["status"] for one in stripe_shop.account.records("refund") if one["metadata"].get("refund")]


def test_order_on_hold_whose_return_fails_is_cancelled_and_its_money_named(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    placed, intent = part_captured_on_hold(stripe_shop, monkeypatch, REFUND_FAILS)
    cancel_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)
    assert stripe_shop.read(placed).state is PurchaseState.CANCELLED
    assert stripe_shop.shop.unit_counts("mug", stripe_shop.now) == (2, 0, 0)
    assert (returns(stripe_shop), counted) == (["failed"] * 3, ["captured_amount_differs", "captures_without_order"])
    (line,) = [one for one in caplog.records if one.message == "captured without an order"]
    assert (line.__dict__["payment"], line.__dict__["received"], line.__dict__["refunded"]) == (intent, 1_000, 0)
    assert stripe_shop.process(placed) == Superseded()
    assert named_by_the_comparison(stripe_shop) == [("captured_without_order", intent, 0, 1_000)]


def test_placed_order_whose_return_fails_is_open_again(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed = part_captured_while_placed(stripe_shop, monkeypatch, REFUND_FAILS)
    assert stripe_shop.process(placed) == Failed("return_refused")
    assert counted == ["captured_amount_differs", "captures_without_order"]
    (intent,) = stripe_shop.intents()
    answer = find_purchase(stripe_shop.context, placed.id, stripe_shop.now)
    assert isinstance(answer, CheckoutResult)
    assert "refuses to refund" in answer.messages[0].content
    stripe_shop.advance(HOUR)
    assert stripe_shop.shop.unit_counts("mug", stripe_shop.now) == (2, 0, 0)
    assert named_by_the_comparison(stripe_shop) == [("captured_without_order", intent, 0, 1_000)]


def test_order_on_hold_whose_payment_is_disputed_ends_at_its_deadline(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed, intent = part_captured_on_hold(stripe_shop, monkeypatch, "pm_card_visa")
    stripe_shop.account.open_dispute(intent, amount=1_000)
    stripe_shop.advance(MAX_ORDER_HOLD)
    assert stripe_shop.process(placed) == Cancelled()
    assert stripe_shop.shop.unit_counts("mug", stripe_shop.now) == (2, 0, 0)
    assert (returns(stripe_shop), counted[-1]) == ([], "captures_without_order")


def test_refund_made_in_the_console_meanwhile_is_no_refused_return(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed, intent = part_captured_on_hold(stripe_shop, monkeypatch, "pm_card_visa")
    once(monkeypatch, StripeGateway, "refund", before=lambda: stripe_shop.account.console_refund(intent, 400))
    cancel = partial(cancel_order, stripe_shop.context, placed.id, "cancel", "", "ann")
    with pytest.raises(WriteConflict):
        cancel(stripe_shop.now)
    cancel(stripe_shop.now)
    assert stripe_shop.read(placed).state is PurchaseState.CANCELLED
    assert (returns(stripe_shop), "captures_without_order" in counted) == (["succeeded"], False)


def test_return_that_fails_late_is_reported_shown_and_named_beside_the_paid_order(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed = part_captured_while_placed(stripe_shop, monkeypatch, "pm_card_visa")
    assert stripe_shop.process(placed) == Failed("captured_amount_differs")
    again = a_complete_request("pm_card_visa", "again")
    complete_purchase(stripe_shop.context, placed.id, again, stripe_shop.now)
    stripe_shop.process(placed, attempt=2)
    (made,) = [one for one in stripe_shop.account.records("refund") if one["metadata"].get("refund")]
    assert named_by_the_comparison(stripe_shop) == []
    assert money_at_provider(stripe_shop.context, stripe_shop.read(placed), stripe_shop.now).kept == 0
    counted.clear()
    stripe_shop.account.fail_refund(made["id"])
    stripe_shop.process_event_of(made["id"], "refund.failed")
    assert counted == ["captures_without_order"]
    shown = money_at_provider(stripe_shop.context, stripe_shop.read(placed), stripe_shop.now)
    assert (shown.state, shown.amount, shown.refunded, shown.kept) == (MoneyState.CAPTURED, 1_670, 0, 1_000)
    assert "It also keeps 1000 GBP" in shown.sentence()
    first, _ = stripe_shop.intents()
    assert named_by_the_comparison(stripe_shop) == [("captured_without_order", first, 0, 1_000)]
