"""Discounts of a purchase: prices and messages, limits per buyer, and checks at completion."""

from __future__ import annotations

from typing import Any

from chalicelib import checkout
from chalicelib.capture import process_attempt
from chalicelib.checkout import create_purchase, find_purchase
from chalicelib.instants import MINUTE, SECOND, Instant, rfc3339
from chalicelib.purchase import Buyer, CheckoutResult, Purchase, PurchaseState
from chalicelib.purchase.holds import budget_holds_of
from tests.builders.purchases import NEW_YORK, NOW, a_purchase_request
from tests.builders.shop import SHOW, ShopFixture
from tests.checkout.actions import (
    complete_purchase,
    message_codes,
    money,
    open_with_codes,
)


def update_purchase(
    shop: ShopFixture, purchase: Purchase, key: str, now: Instant = NOW, **changes: Any
) -> CheckoutResult:
    answer = checkout.update_purchase(shop.context, purchase.id, a_purchase_request(key=key, **changes), now)
    assert isinstance(answer, CheckoutResult)
    return answer


def buyer(number: int) -> Buyer:
    return Buyer(email=f"buyer-{number}@example.com")


# Prices and messages.


def test_code_reduces_the_items_before_tax_and_the_reduced_total_is_paid(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount()
    purchase = open_with_codes(shop, " Ten")
    (line,) = purchase.lines
    assert (line.gross, line.discount, line.price, line.tax) == (1_275, 128, 1_147, 191)
    totals = purchase.totals
    assert (totals.subtotal, totals.discount, totals.shipping, totals.total) == (1_275, 128, 395, 1_542)
    assert [(discount.code, discount.title, discount.parts) for discount in purchase.discounts] == [
        ("TEN", "The ten", (128,))
    ]
    complete_purchase(shop, purchase)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    (payment,) = shop.tables.dynamodb.scan(TableName=shop.tables.sandbox)["Items"]
    assert payment["captured"] == {"N": "1542"}


def test_tax_on_top_applies_to_the_reduced_price(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(percent_bps=None, amount=money(275))
    totals = open_with_codes(shop, "TEN", destination=NEW_YORK).totals
    assert (totals.subtotal, totals.discount, totals.shipping, totals.total) == (1_275, 275, 995, 1_995)


def test_new_codes_replace_earlier_ones_and_an_empty_list_clears_them(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount("ten")
    shop.put_discount("five", percent_bps=500)
    purchase = open_with_codes(shop, "TEN")
    five = update_purchase(shop, purchase, "k2", discount_codes=("FIVE",)).purchase
    assert ([discount.code for discount in five.discounts], five.totals.discount) == (["FIVE"], 64)
    same = update_purchase(shop, purchase, "k3").purchase
    assert (same.discount_codes, same.totals) == (("FIVE",), five.totals)
    none = update_purchase(shop, purchase, "k4", discount_codes=()).purchase
    assert (none.discount_codes, none.discounts, none.totals.discount, none.lines[0].discount) == ((), (), 0, 0)


def test_cart_keeps_its_codes_as_a_checkout_session(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount()
    cart = open_with_codes(shop, "TEN", as_cart=True, destination=None)
    answer = create_purchase(shop.context, a_purchase_request(key="convert", cart_id=cart.id), NOW)
    assert isinstance(answer, CheckoutResult)
    assert (answer.purchase.discount_codes, answer.purchase.totals.discount) == (("TEN",), 128)


def test_code_that_does_not_apply_keeps_its_warning(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount()
    shop.put_discount("gone", ends_at=rfc3339(NOW))
    shop.put_discount("soon", starts_at=rfc3339(NOW + 1))
    shop.put_discount("rich", minimum_subtotal=money(1_276))
    shop.put_discount("beside")
    purchase = open_with_codes(shop, "TEN", "GONE", "SOON", "RICH", "BESIDE", "nope", "ten", "a/b")
    answer = find_purchase(shop.context, purchase.id, NOW)
    assert {message.path: (message.code, message.extra.get("reason")) for message in answer.messages} == {
        "$.discounts.codes[0]": ("discount_code_combination_disallowed", "not_combinable"),
        "$.discounts.codes[1]": ("discount_code_expired", "ended"),
        "$.discounts.codes[2]": ("discount_code_invalid", "not_started"),
        "$.discounts.codes[3]": ("discount_code_user_ineligible", "below_minimum"),
        "$.discounts.codes[5]": ("discount_code_invalid", "unknown"),
        "$.discounts.codes[6]": ("discount_code_already_applied", None),
        "$.discounts.codes[7]": ("discount_code_invalid", "unknown"),
    }
    assert {message.type for message in answer.messages} == {"warning"}
    assert [discount.code for discount in purchase.discounts] == ["BESIDE"]


def test_automatic_discount_of_the_show_applies_and_costs_no_write(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount("launch", automatic=True, show_id=SHOW, percent_bps=2_000)
    purchase = shop.open_purchase(("mug", 1))
    assert [(discount.code, discount.automatic, discount.amount) for discount in purchase.discounts] == [
        ("LAUNCH", True, 255)
    ]
    complete_purchase(shop, purchase)
    process_attempt(shop.context, purchase.id, 1, NOW)
    paid = shop.read(purchase.id)
    assert (paid.state, paid.totals.discount, budget_holds_of(paid)) == (PurchaseState.PAID, 255, [])


# Limits and validity.


def test_code_limit_counts_all_purchases_of_one_buyer(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.put_discount(limit_per_buyer=1)
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first)
    refused = complete_purchase(shop, second)
    assert message_codes(refused) == ["totals_changed", "discount_code_user_ineligible"]
    assert refused.messages[1].extra == {"reason": "limit_reached"}
    other = open_with_codes(shop, "TEN", key="c", buyer=buyer(1))
    assert complete_purchase(shop, other).purchase.totals.discount == 128
    assert complete_purchase(shop, second, key="agreed").purchase.totals.discount == 0


def test_ended_attempt_without_money_does_not_count_as_use(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, hold_seconds=3_600)
    shop.put_discount(limit_per_buyer=1)
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first, token="declined")
    process_attempt(shop.context, first.id, 1, NOW)
    assert message_codes(complete_purchase(shop, second))[:1] == ["totals_changed"]
    update_purchase(shop, second, "ask-again", NOW + 3 * MINUTE, discount_codes=("TEN",))
    assert complete_purchase(shop, second, key="later", now=NOW + 3 * MINUTE).purchase.totals.discount == 128


def test_code_that_ends_before_completion_shows_the_new_total(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.put_discount(ends_at=rfc3339(NOW + MINUTE))
    purchase = open_with_codes(shop, "TEN")
    assert message_codes(complete_purchase(shop, purchase, now=NOW + MINUTE)) == [
        "totals_changed",
        "discount_code_expired",
    ]
    assert complete_purchase(shop, purchase, key="agreed", now=NOW + MINUTE).purchase.totals.total == 1_670


def test_cheaper_discount_at_completion_is_shown_before_it_is_charged(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    purchase = shop.open_purchase(("mug", 1))
    shop.put_discount("launch", automatic=True, show_id=SHOW, now=NOW)
    answer = complete_purchase(shop, purchase, now=NOW + SECOND)
    assert (message_codes(answer), answer.purchase.totals.discount) == (["totals_changed"], 128)
    assert complete_purchase(shop, purchase, key="agreed", now=NOW + SECOND).purchase.state is PurchaseState.PLACED
