from __future__ import annotations

from typing import Any

import pytest

from chalicelib.checkout import cancel_purchase, create_purchase, find_purchase, update_purchase
from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import MINUTE, SECOND, rfc3339
from chalicelib.purchase import Buyer, CheckoutResult, NoPurchase, PurchaseState
from tests.builders.purchases import LONDON, NEW_YORK, NOW, PLATFORM, a_purchase_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import message_codes


def test_create_holds_the_units_of_its_line(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    answer = create_purchase(shop.context, a_purchase_request(("mug", 2)), NOW)
    assert isinstance(answer, CheckoutResult)
    assert answer.created
    assert message_codes(answer) == []
    assert shop.unit_counts("mug") == (1, 2, 0)
    line = answer.purchase.lines[0]
    assert (line.quantity, line.unit_price, line.holds[0].expires_at) == (2, 1_275, NOW // 1000 + 300)
    assert answer.purchase.totals.total == 2 * 1_275 + 395


def test_repeated_create_answers_the_same_purchase(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    first = shop.open_purchase(("mug", 2))
    again = create_purchase(shop.context, a_purchase_request(("mug", 2)), NOW + SECOND)
    assert isinstance(again, CheckoutResult)
    assert (again.purchase, again.created) == (first, True)
    assert shop.unit_counts("mug") == (1, 2, 0)


def test_repeated_create_finds_its_purchase_after_sold_out(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    first = shop.pay(("mug", 1))
    later = NOW + 5 * SECOND
    again = create_purchase(shop.context, a_purchase_request(("mug", 1)), later)
    assert isinstance(again, CheckoutResult)
    assert again.purchase == first


def test_key_with_another_body_is_refused_and_changes_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    first = shop.open_purchase(("mug", 1))
    with pytest.raises(Conflict) as refusal:
        create_purchase(shop.context, a_purchase_request(("mug", 2)), NOW)
    assert refusal.value.code == "idempotency_conflict"
    assert shop.read(first.id) == first
    assert shop.unit_counts("mug") == (2, 1, 0)


def test_lines_of_one_drop_are_merged(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    purchase = shop.open_purchase(("mug", 1), ("mug", 2))
    assert [line.quantity for line in purchase.lines] == [3]


def test_create_with_too_few_units_left_holds_the_rest_with_a_warning(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    answer = create_purchase(shop.context, a_purchase_request(("mug", 5)), NOW)
    assert isinstance(answer, CheckoutResult)
    assert message_codes(answer) == ["quantity_adjusted"]
    assert answer.purchase.lines[0].quantity == 3
    assert shop.unit_counts("mug") == (0, 3, 0)


def test_create_while_all_units_are_held_answers_the_next_expiry(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    shop.open_purchase(("mug", 1))
    answer = create_purchase(shop.context, a_purchase_request(("mug", 1), key="other"), NOW + 2 * SECOND)
    assert isinstance(answer, NoPurchase)
    assert message_codes(answer) == ["all_held"]
    reclaimable = (NOW // 1000 + 300 + 3) * 1000  # two seconds cover clock skew; then the next second
    assert answer.messages[0].extra == {"next_lapse_at": rfc3339(reclaimable)}


def test_create_after_the_last_sale_answers_out_of_stock(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    shop.pay(("mug", 1))
    shop.stock.refresh(shop.shows.drop("mug").pool, now=NOW + SECOND)  # type: ignore[union-attr]
    answer = create_purchase(shop.context, a_purchase_request(("mug", 1), key="other"), NOW + 3 * SECOND)
    assert message_codes(answer) == ["out_of_stock"]
    assert isinstance(answer, NoPurchase)


def test_expired_hold_can_be_taken_by_another_buyer(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    shop.open_purchase(("mug", 1))
    later = NOW + 303 * SECOND
    second = shop.open_purchase(("mug", 1), key="other", now=later)
    assert second.lines[0].quantity == 1
    assert shop.unit_counts("mug", later) == (0, 1, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"opens_at": rfc3339(NOW + MINUTE)}, "drop_not_open"),
        ({"opens_at": None}, "drop_not_open"),
        ({"closes_at": rfc3339(NOW)}, "drop_closed"),
    ],
)
def test_drop_outside_its_window_holds_nothing(shop: ShopFixture, changes: dict[str, Any], code: str) -> None:
    shop.put_drop("mug", stock=1, **changes)
    answer = create_purchase(shop.context, a_purchase_request(("mug", 1)), NOW)
    assert isinstance(answer, NoPurchase)
    assert message_codes(answer) == [code]
    assert shop.unit_counts("mug") == (1, 0, 0)


def test_unknown_drop_is_unavailable(shop: ShopFixture) -> None:
    assert message_codes(create_purchase(shop.context, a_purchase_request(("nothing", 1)), NOW)) == ["item_unavailable"]


def test_create_holds_the_available_lines_and_names_the_others(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    answer = create_purchase(shop.context, a_purchase_request(("nothing", 1), ("mug", 1)), NOW)
    assert isinstance(answer, CheckoutResult)
    assert message_codes(answer) == ["item_unavailable"]
    assert [line.drop_id for line in answer.purchase.lines] == ["mug"]


def test_limit_per_buyer_reduces_the_quantity(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, limit_per_buyer=2)
    answer = create_purchase(shop.context, a_purchase_request(("mug", 3)), NOW)
    assert isinstance(answer, CheckoutResult)
    assert message_codes(answer) == ["limit_exceeded"]
    assert shop.unit_counts("mug") == (7, 2, 0)


def test_update_adds_a_hold_for_more_units_and_releases_fewer(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=5)
    purchase = shop.open_purchase(("mug", 2))
    update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 4), key="more"), NOW)
    assert shop.unit_counts("mug") == (1, 4, 0)
    assert [hold.quantity for hold in shop.read(purchase.id).lines[0].holds] == [2, 2]
    update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 1), key="fewer"), NOW)
    assert shop.unit_counts("mug") == (4, 1, 0)
    assert [hold.quantity for hold in shop.read(purchase.id).lines[0].holds] == [1]


def test_update_without_a_line_releases_its_units(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    shop.put_drop("bowl", stock=2)
    purchase = shop.open_purchase(("mug", 1), ("bowl", 1))
    answer = update_purchase(shop.context, purchase.id, a_purchase_request(("bowl", 1), key="update"), NOW)
    assert isinstance(answer, CheckoutResult)
    assert [line.drop_id for line in answer.purchase.lines] == ["bowl"]
    assert shop.unit_counts("mug") == (2, 0, 0)
    assert shop.unit_counts("bowl") == (1, 1, 0)


def test_update_keeps_fields_that_it_does_not_mention(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1))
    change = a_purchase_request(key="update", buyer=None, destination=NEW_YORK)
    answer = update_purchase(shop.context, purchase.id, change, NOW)
    assert isinstance(answer, CheckoutResult)
    changed = answer.purchase
    assert (changed.lines[0].holds, changed.buyer) == (purchase.lines[0].holds, purchase.buyer)
    assert (changed.market, changed.totals.shipping, changed.version) == ("US", 995, 2)


def test_repeated_update_is_applied_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=5)
    purchase = shop.open_purchase(("mug", 1))
    change = a_purchase_request(("mug", 2), key="update")
    update_purchase(shop.context, purchase.id, change, NOW)
    update_purchase(shop.context, purchase.id, change, NOW)
    assert shop.read(purchase.id).version == 2
    assert shop.unit_counts("mug") == (3, 2, 0)


def test_line_that_cannot_grow_stays_as_it_was(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    purchase = shop.open_purchase(("mug", 2))
    answer = update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 3), key="more"), NOW + 2 * SECOND)
    assert isinstance(answer, CheckoutResult)
    assert message_codes(answer) == ["all_held"]
    assert answer.purchase.lines[0].quantity == 2


def test_line_does_not_grow_after_the_price_rose(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=5)
    purchase = shop.open_purchase(("mug", 1))
    shop.put_drop("mug", stock=5, unit_price={"amount": 9_900, "currency": "GBP"})
    answer = update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 3), key="more"), NOW + 2 * SECOND)
    assert isinstance(answer, CheckoutResult)
    assert [(message.code, message.path) for message in answer.messages] == [("price_changed", "$.line_items[0]")]
    assert answer.purchase.lines == purchase.lines
    assert shop.unit_counts("mug") == (4, 1, 0)


def test_line_that_grows_at_a_lower_price_has_it_for_all_units(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=5)
    purchase = shop.open_purchase(("mug", 1))
    shop.put_drop("mug", stock=5, unit_price={"amount": 900, "currency": "GBP"})
    answer = update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 3), key="more"), NOW + 2 * SECOND)
    assert isinstance(answer, CheckoutResult)
    assert message_codes(answer) == []
    assert (answer.purchase.lines[0].unit_price, answer.purchase.totals.subtotal) == (900, 3 * 900)
    assert shop.unit_counts("mug") == (2, 3, 0)


def test_unknown_shipping_option_is_named_and_holds_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    with pytest.raises(BadInput) as refusal:
        create_purchase(shop.context, a_purchase_request(("mug", 1), shipping_option="teleport"), NOW)
    assert refusal.value.field == "$.fulfillment.methods[0].groups[0].selected_option_id"
    assert shop.unit_counts("mug") == (2, 0, 0)


def test_chosen_shipping_option_applies(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1), shipping_option="express")
    assert purchase.totals.shipping == 795


def test_missing_fields_are_named(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    answer = create_purchase(shop.context, a_purchase_request(("mug", 1), buyer=Buyer(), destination=None), NOW)
    assert [(m.code, m.path) for m in answer.messages] == [
        ("missing", "$.buyer.email"),
        ("missing", "$.fulfillment.methods"),
    ]


def test_repeated_cancel_releases_the_units_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    purchase = shop.open_purchase(("mug", 2))
    for _ in range(2):
        answer = cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel-1", "", NOW)
        assert isinstance(answer, CheckoutResult)
        assert answer.purchase.state is PurchaseState.CANCELLED
    assert shop.unit_counts("mug") == (2, 0, 0)
    refused = update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 1), key="late"), NOW)
    assert message_codes(refused) == ["already_canceled"]
    assert shop.unit_counts("mug") == (2, 0, 0)


def test_cart_becomes_a_checkout_session_with_its_lines(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    cart = shop.open_purchase(("mug", 2), as_cart=True, buyer=None, destination=None)
    assert cart.is_cart
    change = a_purchase_request(("mug", 1), key="convert", cart_id=cart.id, destination=LONDON)
    session = create_purchase(shop.context, change, NOW)
    assert isinstance(session, CheckoutResult)
    assert (session.purchase.id, session.created, session.purchase.is_cart) == (cart.id, True, False)
    assert session.purchase.lines[0].quantity == 2
    assert session.purchase.buyer is not None
    again = create_purchase(shop.context, change, NOW)
    assert isinstance(again, CheckoutResult)
    assert again.purchase == session.purchase


def test_unknown_id_is_not_found(shop: ShopFixture) -> None:
    for answer in (
        find_purchase(shop.context, "B" * 22, NOW),
        update_purchase(shop.context, "B" * 22, a_purchase_request(("mug", 1)), NOW),
        cancel_purchase(shop.context, "B" * 22, PLATFORM, "k", "", NOW),
        create_purchase(shop.context, a_purchase_request(("mug", 1), cart_id="B" * 22), NOW),
    ):
        assert message_codes(answer) == ["not_found"]
