"""Budgets of discounts: reserved at the freeze, consumed when paid, returned when the attempt ends otherwise."""

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
from tests.builders.shop import ShopFixture, a_shop, once
from tests.checkout.test_discounts import GBP, complete_purchase, message_codes, open_with_codes


def test_a_use_is_reserved_at_the_freeze_and_consumed_with_the_goods(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=2, budget_amount={"amount": 1_000, **GBP}, max_amount={"amount": 500, **GBP})
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


def test_a_used_up_code_shows_the_new_total_and_places_nothing(shop: ShopFixture) -> None:
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


def test_what_is_known_to_be_used_up_is_refused_when_it_is_asked_for(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    complete_purchase(shop, open_with_codes(shop, "TEN", key="a"))
    shop.stock.refresh(shop.context.discounts.find("TEN", NOW).discount.budgets[0].pool, NOW)  # type: ignore[union-attr]
    late = create_purchase(shop.context, a_purchase_request(("mug", 1), key="b", discount_codes=("TEN",)), NOW + SECOND)
    assert message_codes(late) == ["discount_code_expired"]


def test_a_money_budget_that_has_too_little_left_does_not_apply(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.put_discount(percent_bps=None, amount={"amount": 400, **GBP}, budget_amount={"amount": 1_000, **GBP})
    outcomes = [
        message_codes(complete_purchase(shop, open_with_codes(shop, "TEN", key=str(number)))) for number in range(3)
    ]
    assert outcomes == [[], [], ["totals_changed", "discount_code_expired"]]
    assert shop.budget_counts() == [(200, 0, 800)]


@pytest.mark.parametrize("token", ["declined", "insufficient_funds"])
def test_a_decline_returns_the_use_at_once_and_the_next_attempt_takes_it_anew(shop: ShopFixture, token: str) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase, token)
    for _ in range(2):
        process_attempt(shop.context, purchase.id, 1, NOW)
    declined = shop.read(purchase.id)
    assert (declined.state, budget_holds_of(declined), declined.totals.discount) == (PurchaseState.OPEN, [], 128)
    assert shop.budget_counts(now=NOW + 3 * SECOND) == [(1, 0, 0)]
    again = complete_purchase(shop, purchase, key="again", now=NOW + 3 * SECOND)
    assert again.purchase.state is PurchaseState.PLACED
    process_attempt(shop.context, purchase.id, 2, NOW + 3 * SECOND)
    assert (shop.read(purchase.id).state, shop.budget_counts()) == (PurchaseState.PAID, [(0, 0, 1)])


def test_a_returned_use_goes_to_whoever_comes_first(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first, "declined")
    process_attempt(shop.context, first.id, 1, NOW)
    later = NOW + 3 * SECOND
    assert complete_purchase(shop, second, now=later).purchase.state is PurchaseState.PLACED
    assert message_codes(complete_purchase(shop, first, key="again", now=later))[:1] == ["totals_changed"]
    assert shop.budget_counts(now=later) == [(0, 0, 1)]


def test_three_d_secure_keeps_the_use_until_its_deadline_and_then_returns_it(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase, "requires_action")
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.AWAITING_BUYER
    deadline = NOW + CHALLENGE_SECONDS * SECOND
    assert shop.budget_counts(now=deadline - SECOND) == [(0, 1, 0)]
    process_attempt(shop.context, purchase.id, 1, deadline)
    assert (shop.read(purchase.id).state, budget_holds_of(shop.read(purchase.id))) == (PurchaseState.OPEN, [])
    assert shop.budget_counts(now=deadline + 3 * SECOND) == [(1, 0, 0)]


def test_who_proved_it_in_time_has_used_it(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase, "requires_action")
    process_attempt(shop.context, purchase.id, 1, NOW)
    shop.gateway.answer_challenge(purchase.id, 1, proved=True)
    process_attempt(shop.context, purchase.id, 1, NOW + MINUTE)
    assert (shop.read(purchase.id).state, shop.budget_counts()) == (PurchaseState.PAID, [(0, 0, 1)])


def test_goods_that_are_gone_return_the_use(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process died between the freeze and its sells; the goods lapsed and went to another buyer."""
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


def test_a_use_that_is_gone_ends_the_attempt_and_charges_nothing(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Stock, "commit", dies)
        with pytest.raises(SystemExit):
            complete_purchase(shop, purchase)
    assert shop.read(purchase.id).state is PurchaseState.PLACED


def test_a_held_order_that_is_given_up_returns_the_use(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    assert shop.budget_counts() == [(0, 0, 1)]
    process_attempt(shop.context, purchase.id, 1, NOW + 7 * DAY)
    assert shop.read(purchase.id).state is PurchaseState.CANCELLED
    assert shop.budget_counts(now=NOW + 7 * DAY) == [(1, 0, 0)]


def test_a_refund_or_a_cancellation_of_an_order_returns_no_use(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    complete_purchase(shop, purchase)
    process_attempt(shop.context, purchase.id, 1, NOW)
    cancel_paid_order(shop.context, purchase.id, "cancel-1", "body", "ann", NOW)
    assert (shop.budget_counts(now=NOW + DAY), shop.unit_counts("mug")) == ([(0, 0, 1)], (3, 0, 0))


def test_a_process_that_dies_before_the_freeze_reserves_for_a_while_only(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=3, hold_seconds=3_600)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")

    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(PurchaseStore, "replace", dies)
        with pytest.raises(SystemExit):
            complete_purchase(shop, purchase)
    assert shop.budget_counts() == [(0, 1, 0)]
    assert shop.budget_counts(now=NOW + (BUDGET_HOLD_SECONDS + 3) * SECOND) == [(1, 0, 0)]
    assert complete_purchase(shop, purchase).purchase.state is PurchaseState.PLACED
    assert shop.budget_counts() == [(0, 0, 1)]


def test_a_use_that_others_fight_over_is_busy_for_a_moment_and_decides_nothing(shop: ShopFixture) -> None:
    """What this process knows of the budget is from right now, and says that there is one."""
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


# Rivals.


def test_two_completions_of_one_request_at_once_use_it_once(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")
    once(monkeypatch, PurchaseStore, "replace", before=lambda: complete_purchase(shop, purchase))
    assert message_codes(complete_purchase(shop, purchase)) == []
    assert shop.read(purchase.id).state is PurchaseState.PLACED
    assert shop.budget_counts() == [(0, 0, 1)]


def test_a_cancellation_that_comes_first_leaves_no_use_reserved(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_discount(budget_uses=1)
    purchase = open_with_codes(shop, "TEN")

    def cancels() -> None:
        cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel-1", "", NOW)

    once(monkeypatch, PurchaseStore, "replace", before=cancels)
    with pytest.raises(Conflict):
        complete_purchase(shop, purchase)
    assert (shop.budget_counts(), shop.unit_counts("mug")) == ([(1, 0, 0)], (3, 0, 0))


def test_one_of_two_budgets_that_cannot_be_had_gives_the_other_back(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.put_discount(budget_uses=9, budget_amount={"amount": 150, **GBP}, max_amount={"amount": 150, **GBP})
    first, second = open_with_codes(shop, "TEN", key="a"), open_with_codes(shop, "TEN", key="b")
    complete_purchase(shop, first)
    assert message_codes(complete_purchase(shop, second))[:1] == ["totals_changed"]
    assert shop.budget_counts() == [(8, 0, 1), (22, 0, 128)]


def test_two_processes_take_the_last_use_once(shop: ShopFixture) -> None:
    """Each with a memory of its own, that has the use as available."""
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
