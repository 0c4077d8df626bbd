"""Bounds of holding: how long a purchase can keep units from other buyers, and how long its price is honoured."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, create_purchase, hold_expiry, update_purchase
from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState
from tests.builders.purchases import NOW, PLATFORM, a_purchase_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import complete_purchase, message_codes

HOLD = 5 * MINUTE
MAX_HOLD = 4 * HOLD
END = NOW + MAX_HOLD
CLOCK_SKEW = 3 * SECOND
"""Another buyer can take an expired hold only after the two seconds that cover clock skew."""


def others_can_buy(shop: ShopFixture, now: Instant) -> bool:
    """Return whether another buyer gets a unit now."""
    return isinstance(
        create_purchase(shop.context, a_purchase_request(("mug", 1), key=f"other-{now}"), now), CheckoutResult
    )


def decline_at_each(shop: ShopFixture, purchase: Purchase, instants: Iterable[Instant]) -> Instant:
    """Try to pay with a declined card at each instant. Return when an attempt last committed the units."""
    last, attempt = 0, 0
    for now in instants:
        answer = complete_purchase(shop, purchase, f"pay-{now}", now, "declined")
        if answer.purchase.state is PurchaseState.PLACED:
            last, attempt = now, attempt + 1
            process_attempt(shop.context, purchase.id, attempt, now)
    return last


EVERY_FOUR_MINUTES = range(NOW, END + 2 * HOLD, 4 * MINUTE)
EVERY_SECOND_AT_THE_END = [*range(NOW, END - 5 * SECOND, 4 * MINUTE), *range(END - 5 * SECOND, END + MINUTE, SECOND)]


@pytest.mark.parametrize("instants", [EVERY_FOUR_MINUTES, EVERY_SECOND_AT_THE_END])
def test_declined_payments_keep_units_for_at_most_four_hold_times(
    shop: ShopFixture, instants: Iterable[Instant]
) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    last = decline_at_each(shop, purchase, instants)
    assert END - 4 * MINUTE <= last < END
    assert shop.read(purchase.id).lines[0].holds[0].expires_at * SECOND == END
    assert others_can_buy(shop, END + CLOCK_SKEW)


def test_control_without_a_bound_declined_payments_keep_units_for_ever(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold_expiry, "MAX_HOLD_FACTOR", 1_000)
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    last = decline_at_each(shop, purchase, EVERY_FOUR_MINUTES)
    assert last == EVERY_FOUR_MINUTES[-1]
    assert not others_can_buy(shop, last + CLOCK_SKEW)


def test_attempt_that_ends_after_the_bound_leaves_the_units_to_others(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="declined")
    late = NOW + MAX_HOLD + MINUTE
    process_attempt(shop.context, placed.id, 1, late)
    assert shop.unit_counts("mug", late) == (1, 0, 0)
    assert message_codes(complete_purchase(shop, placed, "again", late)) == ["hold_lapsed", "hold_lapsed"]
    assert others_can_buy(shop, late)


@pytest.mark.parametrize("reclaimed", [False, True])
def test_repeated_create_renews_nothing(shop: ShopFixture, *, reclaimed: bool) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    expired_at = NOW + HOLD + CLOCK_SKEW
    if reclaimed:
        taker = shop.open_purchase(("mug", 1), key="taker", now=expired_at)
        cancel_purchase(shop.context, taker.id, PLATFORM, "cancel", "", expired_at)
    for now in range(expired_at, expired_at + MINUTE, 10 * SECOND):
        again = create_purchase(shop.context, a_purchase_request(("mug", 1)), now)
        assert isinstance(again, CheckoutResult)
        assert (again.purchase, message_codes(again)) == (purchase, ["hold_lapsed"])
        assert shop.unit_counts("mug", now) == (1, 0, 0)
    assert others_can_buy(shop, expired_at + MINUTE)


def test_repeated_create_leaves_live_holds_and_sold_units_alone(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    held, sold = shop.open_purchase(("mug", 1), key="held"), shop.place(("mug", 1), key="sold")
    create_purchase(shop.context, a_purchase_request(("mug", 1), key="held"), NOW + HOLD - SECOND)
    create_purchase(shop.context, a_purchase_request(("mug", 1), key="sold"), NOW + HOLD - SECOND)
    assert shop.unit_counts("mug", NOW + HOLD - SECOND) == (0, 1, 1)
    assert (shop.read(held.id), shop.read(sold.id)) == (held, sold)


def test_updates_hold_a_line_for_at_most_four_hold_times(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    purchase = shop.open_purchase(("mug", 1))
    for units, now in enumerate(range(NOW + 4 * MINUTE, END, 4 * MINUTE), 2):
        update_purchase(shop.context, purchase.id, a_purchase_request(("mug", units), key=f"more-{now}"), now)
    (line,) = shop.read(purchase.id).lines
    assert (line.quantity, max(hold.expires_at for hold in line.holds) * SECOND) == (5, END)
    more = update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 6), key="more"), END)
    assert message_codes(more)[0] == "hold_lapsed"
    assert shop.read(purchase.id).lines == (line,)
    assert shop.unit_counts("mug", END + CLOCK_SKEW) == (9, 0, 0)


def test_line_removed_and_added_again_competes_with_other_buyers(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    shop.put_drop("bowl", stock=1)
    purchase = shop.open_purchase(("mug", 1), ("bowl", 1))
    update_purchase(shop.context, purchase.id, a_purchase_request(("bowl", 1), key="out"), END)
    answer = update_purchase(shop.context, purchase.id, a_purchase_request(("bowl", 1), ("mug", 1), key="in"), END)
    assert isinstance(answer, CheckoutResult)
    new_line = next(line for line in answer.purchase.lines if line.drop_id == "mug")
    assert new_line.holds[0].expires_at * SECOND == END + HOLD
    assert new_line.max_hold_until * SECOND == END + MAX_HOLD


def test_expired_hold_that_nobody_took_still_buys_but_lost_units_stay_lost(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    intact, lost = shop.open_purchase(("mug", 1), key="intact"), shop.open_purchase(("mug", 1), key="lost")
    late = NOW + 2 * MAX_HOLD
    shop.stock.release(shop.shows.drop("mug").pool, lost.lines[0].holds[0])  # type: ignore[union-attr]
    assert complete_purchase(shop, intact, "pay-intact", late).purchase.state is PurchaseState.PLACED
    assert message_codes(complete_purchase(shop, lost, "pay-lost", late))[0] == "hold_lapsed"
    assert shop.unit_counts("mug", late) == (1, 0, 1)


def raise_price(shop: ShopFixture, now: Instant) -> None:
    shop.put_drop("mug", stock=3, now=NOW - MINUTE, unit_price={"amount": 1_500, "currency": "GBP"})
    assert shop.shows.offer("mug", now).drop.unit_price == 1_500  # type: ignore[union-attr]


@pytest.mark.parametrize("after", [MINUTE, HOLD + MINUTE, 2 * HOLD])
def test_price_is_honoured_for_two_hold_times(shop: ShopFixture, after: Instant) -> None:
    shop.put_drop("mug", stock=3)
    purchase = shop.open_purchase(("mug", 1))
    raise_price(shop, NOW + after)
    answer = complete_purchase(shop, purchase, "pay", NOW + after)
    assert (answer.purchase.state, answer.purchase.lines[0].unit_price) == (PurchaseState.PLACED, 1_275)


def test_completion_after_the_honoured_price_shows_the_new_price(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    purchase = shop.open_purchase(("mug", 1))
    late = NOW + 2 * HOLD + SECOND
    raise_price(shop, late)
    answer = complete_purchase(shop, purchase, "pay", late)
    assert (answer.purchase.state, message_codes(answer)[0]) == (PurchaseState.OPEN, "totals_changed")
    assert answer.purchase.totals.total == 1_500 + 395
    assert shop.unit_counts("mug", late)[2] == 0
    assert complete_purchase(shop, purchase, "pay-again", late + SECOND).purchase.totals.total == 1_500 + 395
    process_attempt(shop.context, purchase.id, 1, late + SECOND)
    assert shop.read(purchase.id).state is PurchaseState.PAID


def test_price_is_honoured_while_a_later_hold_of_the_line_lasts(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    purchase = shop.open_purchase(("mug", 1))
    update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 2), key="more"), NOW + 2 * HOLD - SECOND)
    late = NOW + 2 * HOLD + MINUTE
    raise_price(shop, late)
    answer = complete_purchase(shop, purchase, "pay", late)
    assert (answer.purchase.state, answer.purchase.totals.subtotal) == (PurchaseState.PLACED, 2 * 1_275)
