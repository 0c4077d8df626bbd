"""Discount budgets: held when the order is placed, committed with its stock, released when an attempt fails."""

from __future__ import annotations

import pytest

from chalicelib import checkout
from chalicelib.capture import process_attempt, put_on_hold
from chalicelib.capture.three_d_secure import CHALLENGE_SECONDS
from chalicelib.checkout import cancel_purchase, create_purchase
from chalicelib.discounts import BUDGET_HOLD_SECONDS
from chalicelib.errors import Conflict
from chalicelib.instants import DAY, MINUTE, SECOND
from chalicelib.purchase import Buyer, Purchase, PurchaseState, PurchaseStore
from chalicelib.purchase.holds import budget_holds_of
from chalicelib.refunds import cancel_paid_order
from chalicelib.stock import Stock
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_purchase_request
from tests.builders.shop import (
    ShopFixture,
    a_shop,
    once,
)
from tests.checkout.actions import (
    complete_purchase,
    message_codes,
    money,
    open_with_codes,
)


def test_use_is_held_at_placing_and_committed_with_the_stock(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(
        budget_uses=2,
        budget_amount=money(1_000),
        max_amount=money(500),
    )
    purchase = open_with_codes(shop, "TEN")
    assert shop.budget_counts() == [(2, 0, 0), (1_000, 0, 0)]
    placed = complete_purchase(shop, purchase).purchase
    assert [(pool.pool_id, hold.quantity) for pool, hold in budget_holds_of(placed)] == [
        ("offer:TEN:uses:1", 1),
        ("offer:TEN:money:1", 128),
    ]
    assert shop.budget_counts() == [(1, 0, 1), (872, 0, 128)]
    for _ in range(2):
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    assert shop.budget_counts() == [(1, 0, 1), (872, 0, 128)]


def test_used_up_code_shows_the_new_total_and_places_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first)
    answer = complete_purchase(shop, second)
    assert message_codes(answer) == ["totals_changed", "discount_code_expired"]
    shown = answer.purchase
    assert (shown.state, shown.totals.discount, shown.totals.total) == (PurchaseState.OPEN, 0, 1_670)
    assert (shown.discounts, shown.rejected_codes) == ((), {"TEN": "used_up"})
    assert shop.budget_counts() == [(0, 0, 1)]
    assert shop.unit_counts("mug") == (1, 1, 1)
    assert message_codes(complete_purchase(shop, second)) == message_codes(answer)
    agreed = complete_purchase(shop, second, key="agreed")
    assert (agreed.purchase.state, agreed.purchase.totals.total) == (PurchaseState.PLACED, 1_670)
    assert shop.budget_counts() == [(0, 0, 1)]


def test_code_known_to_be_used_up_is_refused_at_create(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    complete_purchase(shop, open_with_codes(shop, "TEN", key="a"))
    shop.stock.refresh(shop.context.discounts.find("TEN", NOW).discount.budgets[0].pool, NOW)  # type: ignore[union-attr]
    late = create_purchase(shop.context, a_purchase_request(("mug", 1), key="b", discount_codes=("TEN",)), NOW + SECOND)
    assert message_codes(late) == ["discount_code_expired"]


def test_money_budget_with_too_little_left_does_not_apply(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.put_discount(
        percent_bps=None,
        amount=money(400),
        budget_amount=money(1_000),
    )
    outcomes = [
        message_codes(complete_purchase(shop, open_with_codes(shop, "TEN", key=str(number)))) for number in range(3)
    ]
    assert outcomes == [[], [], ["totals_changed", "discount_code_expired"]]
    assert shop.budget_counts() == [(200, 0, 800)]


@pytest.mark.parametrize("token", ["declined", "insufficient_funds"])
def test_decline_releases_the_use_and_the_next_attempt_holds_it_again(shop: ShopFixture, token: str) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase, token=token)
    for _ in range(2):
        process_attempt(shop.context, purchase.id, 1, NOW)
    declined = shop.read(purchase.id)
    assert (declined.state, budget_holds_of(declined), declined.totals.discount) == (PurchaseState.OPEN, [], 128)
    assert shop.budget_counts(now=NOW + 3 * SECOND) == [(1, 0, 0)]
    again = complete_purchase(shop, purchase, key="again", now=NOW + 3 * SECOND)
    assert again.purchase.state is PurchaseState.PLACED
    process_attempt(shop.context, purchase.id, 2, NOW + 3 * SECOND)
    assert (shop.read(purchase.id).state, shop.budget_counts()) == (PurchaseState.PAID, [(0, 0, 1)])


def test_released_use_goes_to_the_first_buyer_that_completes(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first, token="declined")
    process_attempt(shop.context, first.id, 1, NOW)
    later = NOW + 3 * SECOND
    assert complete_purchase(shop, second, now=later).purchase.state is PurchaseState.PLACED
    assert message_codes(complete_purchase(shop, first, key="again", now=later))[:1] == ["totals_changed"]
    assert shop.budget_counts(now=later) == [(0, 0, 1)]


def test_three_d_secure_holds_the_use_until_its_deadline_and_then_releases_it(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase, token="requires_action")
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.AWAITING_BUYER
    deadline = NOW + CHALLENGE_SECONDS * SECOND
    assert shop.budget_counts(now=deadline - SECOND) == [(0, 1, 0)]
    process_attempt(shop.context, purchase.id, 1, deadline)
    assert (shop.read(purchase.id).state, budget_holds_of(shop.read(purchase.id))) == (PurchaseState.OPEN, [])
    assert shop.budget_counts(now=deadline + 3 * SECOND) == [(1, 0, 0)]


def test_authentication_in_time_commits_the_use(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase, token="requires_action")
    process_attempt(shop.context, purchase.id, 1, NOW)
    shop.gateway.answer_challenge(purchase.id, 1, proved=True)
    process_attempt(shop.context, purchase.id, 1, NOW + MINUTE)
    assert (shop.read(purchase.id).state, shop.budget_counts()) == (PurchaseState.PAID, [(0, 0, 1)])


def test_attempt_without_stock_releases_the_use(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process died between placing and committing. The units expired and another buyer took them."""
    shop.put_drop("mug", stock=1, hold_seconds=5)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    dies_before_committing(shop, purchase, monkeypatch)
    later = NOW + 8 * SECOND
    shop.open_purchase(("mug", 1), key="rival", now=later)
    process_attempt(shop.context, purchase.id, 1, later)
    ended = shop.read(purchase.id)
    assert (ended.state, ended.payment and ended.payment.failure) == (PurchaseState.OPEN, "out_of_stock")
    assert shop.budget_counts(now=later + 3 * SECOND) == [(1, 0, 0)]


def test_attempt_whose_use_is_gone_ends_and_charges_nothing(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=3, hold_seconds=3_600)
    shop.put_discount(budget_uses=1)
    purchase, rival = open_with_codes(shop, "TEN"), open_with_codes(shop, "TEN", key="rival")
    dies_before_committing(shop, purchase, monkeypatch)
    later = NOW + (BUDGET_HOLD_SECONDS + 3) * SECOND
    assert complete_purchase(shop, rival, now=later).purchase.state is PurchaseState.PLACED
    process_attempt(shop.context, purchase.id, 1, later)
    ended = shop.read(purchase.id)
    assert (ended.state, ended.payment and ended.payment.failure) == (PurchaseState.OPEN, "out_of_stock")
    assert shop.gateway.find(purchase.id, 1, now=later) is None
    assert (shop.budget_counts(now=later), shop.unit_counts("mug", later)) == ([(0, 0, 1)], (1, 1, 1))


def dies_before_committing(shop: ShopFixture, purchase: Purchase, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Stock, "commit", die)
        with pytest.raises(SystemExit):
            complete_purchase(shop, purchase)
    assert shop.read(purchase.id).state is PurchaseState.PLACED


def test_cancelled_order_on_hold_releases_the_use(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    assert shop.budget_counts() == [(0, 0, 1)]
    process_attempt(shop.context, purchase.id, 1, NOW + 7 * DAY)
    assert shop.read(purchase.id).state is PurchaseState.CANCELLED
    assert shop.budget_counts(now=NOW + 7 * DAY) == [(1, 0, 0)]


def test_refund_or_cancellation_of_an_order_restores_no_use(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase)
    process_attempt(shop.context, purchase.id, 1, NOW)
    cancel_paid_order(shop.context, purchase.id, "cancel-1", "body", "ann", NOW)
    assert (shop.budget_counts(now=NOW + DAY), shop.unit_counts("mug")) == ([(0, 0, 1)], (3, 0, 0))


def test_use_held_by_a_process_that_died_before_placing_expires(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=3, hold_seconds=3_600)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(PurchaseStore, "replace", die)
        with pytest.raises(SystemExit):
            complete_purchase(shop, purchase)
    assert shop.budget_counts() == [(0, 1, 0)]
    assert shop.budget_counts(now=NOW + (BUDGET_HOLD_SECONDS + 3) * SECOND) == [(1, 0, 0)]
    assert complete_purchase(shop, purchase).purchase.state is PurchaseState.PLACED
    assert shop.budget_counts() == [(0, 0, 1)]


def test_contended_budget_answers_busy_and_changes_nothing(shop: ShopFixture) -> None:
    """The summary that this process has read is current and shows one free use."""
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1, now=NOW)
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first)
    busy = complete_purchase(shop, second)
    assert message_codes(busy) == ["busy"]
    assert busy.messages[0].extra["retry_after_ms"] > 0
    assert (busy.purchase.state, busy.purchase.totals) == (PurchaseState.OPEN, second.totals)
    assert shop.gateway.find(second.id, 1, now=NOW) is None
    later = NOW + 2 * SECOND
    assert message_codes(complete_purchase(shop, second, now=later)) == ["totals_changed", "discount_code_expired"]


# Races with another request.


def test_two_duplicate_completions_use_the_code_once(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    once(monkeypatch, PurchaseStore, "replace", before=lambda: complete_purchase(shop, purchase))
    assert message_codes(complete_purchase(shop, purchase)) == []
    assert shop.read(purchase.id).state is PurchaseState.PLACED
    assert shop.budget_counts() == [(0, 0, 1)]


def test_cancellation_that_wins_the_race_leaves_no_use_held(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")

    def cancel() -> None:
        cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel-1", "", NOW)

    once(monkeypatch, PurchaseStore, "replace", before=cancel)
    with pytest.raises(Conflict):
        complete_purchase(shop, purchase)
    assert (shop.budget_counts(), shop.unit_counts("mug")) == ([(1, 0, 0)], (3, 0, 0))


def test_completion_that_lacks_one_of_two_budgets_releases_the_other(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.put_discount(
        budget_uses=9,
        budget_amount=money(150),
        max_amount=money(150),
    )
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first)
    assert message_codes(complete_purchase(shop, second))[:1] == ["totals_changed"]
    assert shop.budget_counts() == [(8, 0, 1), (22, 0, 128)]


def test_two_processes_take_the_last_use_once(shop: ShopFixture) -> None:
    """Each process has its own cache, which shows the use as available."""
    shop.put_drop("mug", stock=9)
    shop.put_discount(budget_uses=1)
    first, second = (
        open_with_codes(shop, "TEN", key="a"),
        open_with_codes(shop, "TEN", key="b", buyer=Buyer(email="grace@example.com")),
    )
    other = a_shop(shop.tables).context
    other.discounts.find("TEN", NOW)
    assert complete_purchase(shop, first).purchase.state is PurchaseState.PLACED
    answer = checkout.complete_purchase(other, second.id, a_complete_request("ok", "pay-b"), NOW)
    assert message_codes(answer)[:1] == ["totals_changed"]
    assert shop.budget_counts() == [(0, 0, 1)]
