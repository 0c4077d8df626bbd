"""A purchase keeps the key of every request that changed it. A change beyond the bound is refused, and none is lost."""

from __future__ import annotations

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, create_purchase, update_purchase
from chalicelib.errors import BadInput
from chalicelib.instants import SECOND
from chalicelib.purchase import CheckoutResult, NoPurchase, Purchase, PurchaseState
from chalicelib.purchase.idempotency import MAX_CHANGES
from tests.builders.purchases import NOW, PLATFORM, a_purchase_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import complete_purchase, message_codes


def update(shop: ShopFixture, purchase: Purchase, key: str, **changes: object) -> CheckoutResult | NoPurchase:
    return update_purchase(shop.context, purchase.id, a_purchase_request(key=key, **changes), NOW)


def change_percent(shop: ShopFixture, percent_bps: int) -> None:
    """Put another percentage, so that the next completion shows a new total."""
    shop.put_discount("TEN", percent_bps=percent_bps)


def a_purchase_with(shop: ShopFixture, changes: int) -> Purchase:
    """Create a purchase of one mug and change it: ``changes`` records, every second one of a completion."""
    shop.put_drop("mug")
    change_percent(shop, 1_000)
    purchase = shop.open_purchase(("mug", 1), discount_codes=("TEN",))
    for number in range(1, changes):
        if number % 2:
            update(shop, purchase, f"update-{number}")
        else:
            change_percent(shop, 1_000 + 40 * number)
            assert message_codes(complete_purchase(shop, purchase, f"pay-{number}")) == ["totals_changed"]
    purchase = shop.read(purchase.id)
    assert len(purchase.idempotency_records) == changes
    return purchase


@pytest.fixture
def _few_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.purchase.idempotency.MAX_CHANGES", 9)


def test_rounds_of_updates_and_completions_leave_a_bounded_number_of_records(shop: ShopFixture) -> None:
    purchase = a_purchase_with(shop, MAX_CHANGES)
    refused = update(shop, purchase, "one-more")
    assert message_codes(refused) == ["too_many_changes"]
    assert shop.read(purchase.id) == purchase
    assert complete_purchase(shop, purchase, "pay").purchase.state is PurchaseState.PLACED
    process_attempt(shop.context, purchase.id, 1, NOW)
    paid = shop.read(purchase.id)
    assert (paid.state, len(paid.idempotency_records)) == (PurchaseState.PAID, MAX_CHANGES + 1)


@pytest.mark.usefixtures("_few_changes")
def test_change_beyond_the_bound_changes_nothing_and_holds_nothing(shop: ShopFixture) -> None:
    purchase = a_purchase_with(shop, 9)
    answers = [
        update(shop, purchase, "more", lines=a_purchase_request(("mug", 3)).lines),
        create_purchase(shop.context, a_purchase_request(key="convert", cart_id=purchase.id), NOW),
    ]
    assert [message_codes(answer) for answer in answers] == [["too_many_changes"]] * 2
    assert [answer.messages[0].severity for answer in answers] == ["unrecoverable"] * 2
    assert shop.read(purchase.id) == purchase
    assert shop.unit_counts("mug") == (2, 1, 0)


@pytest.mark.usefixtures("_few_changes")
def test_completion_at_another_total_beyond_the_bound_places_nothing(shop: ShopFixture) -> None:
    purchase = a_purchase_with(shop, 9)
    change_percent(shop, 5_000)
    answer = complete_purchase(shop, purchase, "pay-late")
    assert message_codes(answer) == ["too_many_changes"]
    assert shop.read(purchase.id) == purchase
    change_percent(shop, 1_320)
    shop.context.discounts.find("TEN", NOW + 2 * SECOND)
    placed = complete_purchase(shop, purchase, "pay-late", NOW + 2 * SECOND)
    assert placed.purchase.state is PurchaseState.PLACED


@pytest.mark.usefixtures("_few_changes")
def test_every_earlier_request_is_recognised_at_the_bound(shop: ShopFixture) -> None:
    purchase = a_purchase_with(shop, 9)
    assert create_purchase(shop.context, a_purchase_request(("mug", 1), discount_codes=("TEN",)), NOW).messages == ()
    for number in range(1, 9):
        if number % 2:
            answer = update(shop, purchase, f"update-{number}")
            assert message_codes(answer) == []
        else:
            assert message_codes(complete_purchase(shop, purchase, f"pay-{number}")) == ["totals_changed"]
    assert shop.read(purchase.id) == purchase


@pytest.mark.usefixtures("_few_changes")
def test_attempts_and_a_cancellation_have_room_beyond_the_bound(shop: ShopFixture) -> None:
    purchase = a_purchase_with(shop, 9)
    for number in (1, 2):
        complete_purchase(shop, purchase, f"pay-declined-{number}", token="declined")
        process_attempt(shop.context, purchase.id, number, NOW)
    declined = shop.read(purchase.id)
    assert (declined.state, declined.attempt, len(declined.idempotency_records)) == (PurchaseState.OPEN, 2, 11)
    cancelled = cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel", "", NOW)
    assert isinstance(cancelled, CheckoutResult)
    assert cancelled.purchase.state is PurchaseState.CANCELLED
    assert shop.unit_counts("mug") == (3, 0, 0)


def test_purchase_without_room_for_its_payment_is_refused_before_it_is_placed(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1))
    monkeypatch.setattr("chalicelib.purchase.idempotency.ROOM_AFTER_PLACING", 409_000)
    with pytest.raises(BadInput) as refusal:
        complete_purchase(shop, purchase)
    assert refusal.value.code == "purchase_too_large"
    assert shop.read(purchase.id) == purchase
    assert shop.unit_counts("mug") == (2, 1, 0)
