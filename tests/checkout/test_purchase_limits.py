from __future__ import annotations

from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, update_purchase
from chalicelib.ids import buyer_hash, derive_purchase_id
from chalicelib.instants import DAY, MINUTE, SECOND
from chalicelib.purchase import Buyer, CheckoutResult, PurchaseState
from chalicelib.refunds import cancel_paid_order, refund_order
from tests.builders.purchases import (
    BUYER,
    LONDON,
    NOW,
    PLATFORM,
    a_purchase_request,
    a_refund_request,
)
from tests.builders.shop import ShopFixture
from tests.checkout.actions import (
    complete_purchase,
    die_before_placing,
    limit_item,
    may_still_have,
    message_codes,
)


def test_limit_counts_all_purchases_of_a_buyer(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=3)
    shop.pay(("mug", 2), key="first")
    second = shop.open_purchase(("mug", 2), key="second")
    answer = complete_purchase(shop, second)
    assert may_still_have(answer) == 1
    assert (answer.purchase, answer.messages[0].path) == (second, "$.line_items[0].quantity")
    assert shop.read(second.id) == second
    assert shop.unit_counts("mug") == (5, 2, 2)
    assert shop.gateway.find(second.id, 1, now=NOW) is None
    fewer = update_purchase(shop.context, second.id, a_purchase_request(("mug", 1), key="fewer"), NOW)
    assert isinstance(fewer, CheckoutResult)
    assert complete_purchase(shop, second, "pay-fewer").purchase.state is PurchaseState.PLACED
    assert may_still_have(complete_purchase(shop, shop.open_purchase(("mug", 1), key="third"))) == 0


def test_limit_counts_each_buyer_and_drop_separately(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    shop.put_drop("bowl", stock=9, limit_per_buyer=1)
    shop.put_drop("cup", stock=9)
    shop.pay(("mug", 1), ("bowl", 1), ("cup", 3), key="first")
    shop.pay(("cup", 3), key="second")
    other = shop.open_purchase(("mug", 1), key="other", buyer=Buyer(email="grace@example.com"))
    assert complete_purchase(shop, other).purchase.state is PurchaseState.PLACED


@pytest.mark.parametrize("spelling", ["ADA@Example.com", "  ada@example.com\n"])
def test_email_in_another_spelling_is_the_same_buyer(shop: ShopFixture, spelling: str) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    shop.pay(("mug", 1), key="first")
    second = shop.open_purchase(("mug", 1), key="second", buyer=Buyer(email=spelling))
    assert may_still_have(complete_purchase(shop, second)) == 0


@pytest.mark.parametrize("email", [None, "", "  "])
def test_limited_line_without_email_is_not_placed(shop: ShopFixture, email: str | None) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    purchase = shop.open_purchase(("mug", 1), buyer=Buyer(email=email))
    answer = complete_purchase(shop, purchase)
    assert [(message.code, message.path) for message in answer.messages] == [("missing", "$.buyer.email")]
    assert shop.read(purchase.id) == purchase


def test_repeat_and_retry_after_a_decline_count_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=2)
    purchase = shop.place(("mug", 2), token="declined")
    complete_purchase(shop, purchase, "pay-key-1", token="declined")
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert complete_purchase(shop, purchase, "pay-again", NOW + SECOND).purchase.state is PurchaseState.PLACED
    assert {one: entry["q"] for one, entry in limit_item(shop)["entries"].items()} == {purchase.id: 2}


def test_changed_quantity_replaces_the_entry_of_the_purchase(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=3)
    purchase = shop.place(("mug", 1), token="declined")
    process_attempt(shop.context, purchase.id, 1, NOW)
    update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 3), key="more"), NOW)
    complete_purchase(shop, purchase, "pay-3", token="declined")
    assert limit_item(shop)["units"] == 3
    process_attempt(shop.context, purchase.id, 2, NOW)
    update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 2), key="fewer"), NOW)
    complete_purchase(shop, purchase, "pay-2")
    assert limit_item(shop)["units"] == 2


def test_cancelled_purchase_no_longer_counts(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=2)
    first = shop.place(("mug", 2), token="declined", key="first")
    process_attempt(shop.context, first.id, 1, NOW)
    second = shop.open_purchase(("mug", 2), key="second")
    assert may_still_have(complete_purchase(shop, second)) == 0
    cancel_purchase(shop.context, first.id, PLATFORM, "cancel", "", NOW)
    assert complete_purchase(shop, second, "pay-again").purchase.state is PurchaseState.PLACED
    assert list(limit_item(shop)["entries"]) == [second.id]


def test_units_of_a_process_that_died_before_placing_count_until_its_holds_expire(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=2)
    first = shop.open_purchase(("mug", 2), key="first")
    die_before_placing(shop, first, monkeypatch)
    assert limit_item(shop)["units"] == 2
    end = (first.lines[0].holds[0].expires_at + 2) * SECOND
    second = shop.open_purchase(("mug", 1), key="second", now=end)
    assert may_still_have(complete_purchase(shop, second, now=end)) == 0
    assert complete_purchase(shop, second, "pay-again", end + SECOND).purchase.state is PurchaseState.PLACED
    assert list(limit_item(shop)["entries"]) == [second.id]
    assert may_still_have(complete_purchase(shop, first, now=end + SECOND)) == 1


def test_recent_entry_counts_although_its_purchase_seems_over(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired hold still buys, so a completion may be between counting and placing for one settle period."""
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    first = shop.open_purchase(("mug", 1), key="first")
    later = NOW + 6 * MINUTE
    second = shop.open_purchase(("mug", 1), key="second", now=later)
    die_before_placing(shop, first, monkeypatch, later)
    assert may_still_have(complete_purchase(shop, second, now=later + 122 * SECOND)) == 0
    assert complete_purchase(shop, second, "pay-again", later + 123 * SECOND).purchase.state is PurchaseState.PLACED


def test_completion_that_relies_on_an_old_entry_renews_it(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    first = shop.open_purchase(("mug", 1), key="first")
    die_before_placing(shop, first, monkeypatch)
    for later in (60, 61):
        die_before_placing(shop, first, monkeypatch, NOW + later * SECOND)
    assert limit_item(shop)["entries"][first.id] == {"q": 1, "v": 2, "t": NOW // SECOND + 61}


def test_sold_units_count_except_restocked_ones(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=3)
    paid = shop.pay(("mug", 3), key="first")
    second = shop.open_purchase(("mug", 2), key="second")
    line = paid.lines[0].id
    refund_order(shop.context, paid.id, a_refund_request((line, 1)), NOW)
    assert may_still_have(complete_purchase(shop, second)) == 0
    refund_order(shop.context, paid.id, a_refund_request((line, 1), key="restocked", restock=True), NOW)
    assert may_still_have(complete_purchase(shop, second)) == 1
    cancel_paid_order(shop.context, paid.id, "cancel", "", "ann", NOW)
    assert complete_purchase(shop, second, "pay-again").purchase.state is PurchaseState.PLACED
    assert {one: entry["q"] for one, entry in limit_item(shop)["entries"].items()} == {paid.id: 1, second.id: 2}


def test_purchase_with_a_changed_email_counts_for_the_new_buyer_alone(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    first = shop.place(("mug", 1), token="declined", key="first")
    process_attempt(shop.context, first.id, 1, NOW)
    grace = BUYER.model_copy(update={"email": "grace@example.com"})
    update_purchase(shop.context, first.id, a_purchase_request(key="gift", buyer=grace, destination=LONDON), NOW)
    assert complete_purchase(shop, first, "pay-again").purchase.state is PurchaseState.PLACED
    process_attempt(shop.context, first.id, 2, NOW)
    second = shop.open_purchase(("mug", 1), key="second")
    assert complete_purchase(shop, second).purchase.state is PurchaseState.PLACED
    third = shop.open_purchase(("mug", 1), key="third", buyer=grace)
    assert may_still_have(complete_purchase(shop, third)) == 0


def test_line_removed_after_a_decline_stops_counting_after_the_settle_period(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    shop.put_drop("bowl", stock=9)
    first = shop.place(("mug", 1), ("bowl", 1), token="declined", key="first")
    process_attempt(shop.context, first.id, 1, NOW)
    update_purchase(shop.context, first.id, a_purchase_request(("bowl", 1), key="without"), NOW)
    second = shop.open_purchase(("mug", 1), key="second")
    assert may_still_have(complete_purchase(shop, second)) == 0
    later = NOW + 123 * SECOND
    assert complete_purchase(shop, second, "pay-again", later).purchase.state is PurchaseState.PLACED


def test_refused_completion_releases_the_units_that_it_held_again(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2, limit_per_buyer=1)
    shop.put_drop("bowl", stock=1)
    shop.pay(("mug", 1), key="first")
    second = shop.open_purchase(("mug", 1), ("bowl", 1), key="second")
    later = NOW + 6 * MINUTE
    grace = Buyer(email="grace@example.com")
    taker = shop.open_purchase(("bowl", 1), ("mug", 1), key="taker", now=later, buyer=grace)
    cancel_purchase(shop.context, taker.id, PLATFORM, "cancel", "", later)
    answer = complete_purchase(shop, second, now=later + 2 * SECOND)
    assert "limit_exceeded" in message_codes(answer)
    assert shop.unit_counts("bowl", later) == (1, 0, 0)
    assert shop.unit_counts("mug", later) == (1, 0, 1)


def test_limit_is_fixed_when_the_units_are_held(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=3)
    first = shop.open_purchase(("mug", 3), key="first")
    shop.put_drop("mug", stock=9, limit_per_buyer=1, now=NOW - MINUTE)
    later = NOW + 2 * SECOND
    assert complete_purchase(shop, first, now=later).purchase.state is PurchaseState.PLACED
    second = shop.open_purchase(("mug", 1), key="second", now=later)
    assert may_still_have(complete_purchase(shop, second, now=later)) == 0


def test_limit_usage_names_no_email_and_expires(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=3)
    placed = shop.place(("mug", 2))
    item = limit_item(shop)
    assert "ada" not in repr(item).casefold()
    assert item["expires_at"] == (NOW + 90 * DAY) // SECOND
    assert item["entries"] == {placed.id: {"q": 2, "v": 2, "t": NOW // SECOND}}


def test_expired_limit_usage_is_created_again(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=2)
    shop.place(("mug", 1), key="first")
    second = shop.open_purchase(("mug", 1), key="second")
    store = type(shop.context.limits)
    real, item = store.put_entry, limit_item(shop)

    def expires_first(*arguments: Any) -> Any:
        key = {name: {"S": item[name]} for name in ("pk", "sk")}
        shop.tables.dynamodb.delete_item(TableName=shop.tables.commerce, Key=key)
        return real(*arguments)

    monkeypatch.setattr(store, "put_entry", expires_first)
    assert complete_purchase(shop, second).purchase.state is PurchaseState.PLACED
    assert list(limit_item(shop)["entries"]) == [second.id]


def test_buyer_hash_is_no_purchase_id_and_needs_the_key() -> None:
    key = b"k" * 32
    assert buyer_hash(key, "Ada@example.com ") == buyer_hash(key, "ada@example.com")
    assert len({buyer_hash(key, "a@b"), buyer_hash(b"j" * 32, "a@b"), derive_purchase_id(key, "limit", "a@b")}) == 3
    with pytest.raises(ValueError, match="key"):
        buyer_hash(b"", "ada@example.com")
