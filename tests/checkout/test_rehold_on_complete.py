"""Complete after holds were reclaimed: units are held again, and a new total needs a new key."""

from __future__ import annotations

import pytest

from chalicelib.checkout import cancel_purchase, complete_purchase, update_purchase
from chalicelib.errors import Conflict
from chalicelib.instants import MINUTE, SECOND
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState, PurchaseStore
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_purchase_request
from tests.builders.shop import ShopFixture, once
from tests.checkout.actions import message_codes


def test_completion_holds_reclaimed_units_again_while_stock_is_left(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    later = NOW + 8 * MINUTE
    taker = shop.open_purchase(("mug", 1), key="other", now=later)
    cancel_purchase(shop.context, taker.id, PLATFORM, "cancel", "", later)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request(), later + SECOND)
    assert isinstance(answer, CheckoutResult)
    assert answer.purchase.state is PurchaseState.PLACED
    assert shop.unit_counts("mug", later) == (0, 0, 1)


def test_completion_that_cannot_hold_reclaimed_units_again_places_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    later = NOW + 8 * MINUTE
    shop.open_purchase(("mug", 1), key="other", now=later)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request(), later + 2 * SECOND)
    assert message_codes(answer) == ["all_held", "hold_lapsed"]
    assert shop.read(purchase.id) == purchase


def a_purchase_at_another_price(shop: ShopFixture) -> Purchase:
    """Hold at 12.75; the drop then costs 99.00, and ten minutes later the old price is no longer honoured."""
    shop.put_drop("mug", stock=3)
    purchase = shop.open_purchase(("mug", 1))
    shop.put_drop("mug", stock=3, unit_price={"amount": 9_900, "currency": "GBP"})
    return purchase


def test_new_total_is_accepted_by_a_new_key_never_by_a_repeat(shop: ShopFixture) -> None:
    purchase = a_purchase_at_another_price(shop)
    late = NOW + 11 * MINUTE
    for again in range(3):
        answer = complete_purchase(shop.context, purchase.id, a_complete_request(), late + again * SECOND)
        assert isinstance(answer, CheckoutResult)
        assert message_codes(answer) == ["totals_changed", "hold_lapsed"]
        assert (answer.purchase.state, answer.purchase.version) == (PurchaseState.OPEN, 2)
        assert answer.purchase.totals.total == 9_900 + 395
    assert shop.unit_counts("mug", late)[2] == 0
    with pytest.raises(Conflict):
        complete_purchase(shop.context, purchase.id, a_complete_request("declined"), late)
    accepted = complete_purchase(shop.context, purchase.id, a_complete_request(key="agreed"), late)
    assert isinstance(accepted, CheckoutResult)
    assert (accepted.purchase.state, accepted.purchase.totals.total) == (PurchaseState.PLACED, 9_900 + 395)
    repeat = complete_purchase(shop.context, purchase.id, a_complete_request(), late)
    assert message_codes(repeat) == []
    assert shop.read(purchase.id) == accepted.purchase


def test_key_answered_with_a_new_total_is_kept_for_ever(shop: ShopFixture) -> None:
    purchase = a_purchase_at_another_price(shop)
    late = NOW + 11 * MINUTE
    complete_purchase(shop.context, purchase.id, a_complete_request(), late)
    for change in range(9):
        update_purchase(shop.context, purchase.id, a_purchase_request(key=f"update-{change}"), late)
    before = shop.read(purchase.id)
    assert message_codes(complete_purchase(shop.context, purchase.id, a_complete_request(), late)) == [
        "totals_changed",
        "hold_lapsed",
    ]
    assert shop.read(purchase.id) == before


def test_duplicate_of_a_completion_with_a_new_total_gets_the_same_answer(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = a_purchase_at_another_price(shop)
    late = NOW + 11 * MINUTE

    def duplicate() -> None:
        complete_purchase(shop.context, purchase.id, a_complete_request(), late)

    once(monkeypatch, PurchaseStore, "replace", before=duplicate)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request(), late)
    assert message_codes(answer) == ["totals_changed", "hold_lapsed"]
    assert (shop.read(purchase.id).state, shop.read(purchase.id).version) == (PurchaseState.OPEN, 2)
