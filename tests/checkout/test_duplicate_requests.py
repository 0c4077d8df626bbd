"""Requests sent twice, and requests with a rival between two of their steps: units go to the stored purchase."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, update_purchase
from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import SECOND
from chalicelib.purchase import CheckoutResult, NoPurchase, Purchase, PurchaseState, PurchaseStore
from chalicelib.stock import Stock
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_purchase_request
from tests.builders.shop import ShopFixture, a_shop, once
from tests.checkout.actions import message_codes

EXPIRED = NOW + 70 * SECOND  # for drops with holds of one minute
LATER = EXPIRED + 3 * SECOND


def exit_process(*_: object, **__: object) -> None:
    raise SystemExit


def a_purchase_with_expired_holds(shop: ShopFixture) -> Purchase:
    """Hold a plate and the only bowl; another buyer reclaims both and cancels, so two plates and a bowl are free."""
    shop.put_drop("plate", stock=2, hold_seconds=60)
    shop.put_drop("bowl", stock=1, hold_seconds=60)
    purchase = shop.open_purchase(("plate", 1), ("bowl", 1))
    other = shop.open_purchase(("plate", 2), ("bowl", 1), key="other", now=EXPIRED)
    cancel_purchase(shop.context, other.id, PLATFORM, "cancel", "", EXPIRED)
    return purchase


def refresh(shop: ShopFixture, now: int) -> None:
    for drop_id in ("plate", "bowl"):
        drop = shop.shows.drop(drop_id)
        assert drop is not None
        shop.stock.refresh(drop.pool, now)


def test_used_key_with_a_wrong_shipping_option_changes_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    first = shop.open_purchase(("mug", 1))
    with pytest.raises(Conflict) as refusal:
        create_purchase(shop.context, a_purchase_request(("mug", 1), shipping_option="teleport"), NOW + 1)
    assert refusal.value.code == "idempotency_conflict"
    assert shop.read(first.id) == first
    assert shop.unit_counts("mug") == (0, 1, 0)


def test_late_repeat_of_a_create_holds_nothing_for_a_cancelled_purchase(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel", "", NOW)
    late = create_purchase(shop.context, a_purchase_request(("mug", 1)), NOW + 2 * SECOND)
    assert isinstance(late, CheckoutResult)
    assert late.purchase.state is PurchaseState.CANCELLED
    assert shop.unit_counts("mug", NOW + 2 * SECOND) == (1, 0, 0)


def test_repeated_cancellation_releases_the_units_that_the_first_left(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=1)
    for key in ("cancel", "cancel-again"):
        purchase = shop.open_purchase(("mug", 1), key=f"for {key}")
        with monkeypatch.context() as dying:
            dying.setattr(Stock, "release", exit_process)
            with pytest.raises(SystemExit):
                cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel", "", NOW)
        assert shop.unit_counts("mug") == (0, 1, 0)
        answer = cancel_purchase(shop.context, purchase.id, PLATFORM, key, "", NOW)
        assert isinstance(answer, CheckoutResult)
        assert answer.purchase.state is PurchaseState.CANCELLED
        assert shop.unit_counts("mug") == (1, 0, 0)


def test_change_written_by_its_duplicate_still_releases_units(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a write landed and its answer was lost: the stored version refuses the second try."""
    shop.put_drop("mug", stock=3)
    shop.put_drop("bowl", stock=1)
    purchase = shop.open_purchase(("mug", 3), ("bowl", 1))
    fewer = a_purchase_request(("mug", 1), key="fewer")

    def die_after_writing(request: Callable[[], object]) -> Callable[[], None]:
        def duplicate() -> None:
            with monkeypatch.context() as dying:
                dying.setattr(Stock, "release", exit_process)
                dying.setattr(Stock, "shrink", exit_process)
                with pytest.raises(SystemExit):
                    request()

        return duplicate

    def update() -> CheckoutResult | NoPurchase:
        return update_purchase(shop.context, purchase.id, fewer, NOW)

    def cancel() -> CheckoutResult | NoPurchase:
        return cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel", "", NOW)

    once(monkeypatch, PurchaseStore, "replace", before=die_after_writing(update))
    assert message_codes(update()) == []
    assert (shop.unit_counts("mug"), shop.unit_counts("bowl")) == ((2, 1, 0), (1, 0, 0))
    once(monkeypatch, PurchaseStore, "replace", before=die_after_writing(cancel))
    assert message_codes(cancel()) == []
    assert shop.read(purchase.id).state is PurchaseState.CANCELLED
    assert (shop.unit_counts("mug"), shop.unit_counts("bowl")) == ((3, 0, 0), (1, 0, 0))


def test_update_with_a_wrong_shipping_option_takes_nothing_from_its_rival(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=2)
    purchase = shop.open_purchase(("mug", 1))
    good, bad = (
        a_purchase_request(("mug", 2), key="good"),
        a_purchase_request(("mug", 2), key="bad", shipping_option="teleport"),
    )
    once(monkeypatch, PurchaseStore, "read", after=lambda: update_purchase(shop.context, purchase.id, good, NOW))
    with pytest.raises(BadInput):
        update_purchase(shop.context, purchase.id, bad, NOW)
    assert shop.read(purchase.id).lines[0].quantity == 2
    assert shop.unit_counts("mug") == (0, 2, 0)


def test_duplicate_completion_that_finds_fewer_units_leaves_them_to_the_first(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = a_purchase_with_expired_holds(shop)
    elsewhere = a_shop(shop.tables)

    def duplicate_dies_before_committing() -> None:
        with monkeypatch.context() as dying:
            dying.setattr(Stock, "commit", exit_process)
            with pytest.raises(SystemExit):
                complete_purchase(shop.context, purchase.id, a_complete_request(), LATER)
        refresh(shop, LATER)

    once(monkeypatch, PurchaseStore, "read", after=duplicate_dies_before_committing)
    answer = complete_purchase(elsewhere.context, purchase.id, a_complete_request(), LATER)
    assert isinstance(answer, CheckoutResult)
    assert (answer.purchase.state, answer.purchase.attempt, message_codes(answer)) == (PurchaseState.PLACED, 1, [])
    assert (shop.unit_counts("plate", LATER), shop.unit_counts("bowl", LATER)) == ((1, 1, 0), (0, 1, 0))
    process_attempt(shop.context, purchase.id, 1, LATER)
    assert shop.read(purchase.id).state is PurchaseState.PAID


def test_duplicate_completion_finds_the_units_that_the_first_held_again(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = a_purchase_with_expired_holds(shop)
    elsewhere = a_shop(shop.tables)

    def duplicate_completes() -> None:
        refresh(shop, LATER)  # now the summary shows no free unit
        answer = complete_purchase(elsewhere.context, purchase.id, a_complete_request(), LATER)
        assert isinstance(answer, CheckoutResult)
        assert (answer.purchase.state, message_codes(answer)) == (PurchaseState.PLACED, [])

    once(monkeypatch, PurchaseStore, "replace", before=duplicate_completes)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request(), LATER)
    assert isinstance(answer, CheckoutResult)
    assert (answer.purchase.state, answer.purchase.attempt) == (PurchaseState.PLACED, 1)
    assert (shop.unit_counts("plate", LATER), shop.unit_counts("bowl", LATER)) == ((1, 0, 1), (0, 0, 1))
