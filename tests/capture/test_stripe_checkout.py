"""Orders paid by Stripe's gateway: the unmodified SDK against a double of Stripe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.capture import cancel_order, process_attempt, put_on_hold, release_from_hold
from chalicelib.checkout import complete_purchase
from chalicelib.errors import Unavailable
from chalicelib.instants import MINUTE
from chalicelib.payments import OutcomeUnknownError
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.refunds import cancel_paid_order
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour, ManualClock, faults
from tests.payments.stripe_requests import DECLINED, REQUIRES_ACTION, VISA, captured_at, gateway_of, statuses

CREATE = "payment_intents.create"
PAGE = "https://shop.example/{checkout}"


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind(search_lag=MINUTE), clock=ManualClock(NOW))


@pytest.fixture
def shop(shop: ShopFixture, account: Account) -> ShopFixture:
    shop.put_drop("mug", stock=3)
    return replace(shop, context=replace(shop.context, gateway=gateway_of(account), return_url=PAGE))


def authorised_without_webhook(shop: ShopFixture, account: Account) -> Purchase:
    """Reserve money and lose the answer. The search does not know the payment yet."""
    purchase = shop.place(("mug", 1), token=VISA)
    account.fail_next(CREATE, faults.closed(after_effect=True))
    with pytest.raises(OutcomeUnknownError):
        process_attempt(shop.context, purchase.id, 1, NOW)
    return purchase


def refunded_at(account: Account) -> int:
    return sum(one["amount"] for one in account.records("refund") if one["balance_transaction"] is not None)


def test_an_order_is_paid_and_fully_refunded(shop: ShopFixture, account: Account) -> None:
    purchase = shop.place(("mug", 2), token=VISA)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert account.operations() == [CREATE, "payment_intents.capture"]
    assert (shop.read(purchase.id).state, captured_at(account)) == (PurchaseState.PAID, purchase.totals.total)
    cancel_paid_order(shop.context, purchase.id, "cancel", "", "ann", NOW)
    assert (refunded_at(account), shop.unit_counts("mug")) == (purchase.totals.total, (3, 0, 0))


def test_another_card_after_a_decline_is_authenticated_and_charged_once(shop: ShopFixture, account: Account) -> None:
    purchase = shop.place(("mug", 1), token=DECLINED)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.OPEN
    complete_purchase(shop.context, purchase.id, a_complete_request(REQUIRES_ACTION, "again"), NOW)
    process_attempt(shop.context, purchase.id, 2, NOW)
    assert shop.read(purchase.id).state is PurchaseState.AWAITING_BUYER
    account.authenticate(account.records("payment_intent")[1]["id"])
    process_attempt(shop.context, purchase.id, 2, NOW + MINUTE)
    paid = shop.read(purchase.id)
    assert (paid.state, captured_at(account)) == (PurchaseState.PAID, paid.totals.total)
    assert statuses(account) == ["requires_payment_method", "succeeded"]


def test_a_decline_for_the_request_itself_holds_the_units_for_another_attempt(
    shop: ShopFixture, account: Account
) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    account.fail_next(CREATE, faults.refused("account_invalid"))
    process_attempt(shop.context, purchase.id, 1, NOW)
    opened = shop.read(purchase.id)
    assert opened.payment is not None
    assert (opened.state, opened.payment.failure) == (PurchaseState.OPEN, "account_invalid")
    assert shop.unit_counts("mug") == (2, 1, 0)


def test_a_token_that_is_used_up_never_keeps_units_sold(shop: ShopFixture, account: Account) -> None:
    used = account.make_payment_method()
    for number in range(3):
        purchase = shop.place(("mug", 1), token=used, key=f"key-{number}")
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert captured_at(account) == purchase.totals.total, "the first request paid"
    assert shop.unit_counts("mug") == (0, 2, 1), "the others' units are held for another attempt"


def test_an_order_on_hold_is_cancelled_although_the_search_lags(shop: ShopFixture, account: Account) -> None:
    purchase = authorised_without_webhook(shop, account)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    cancel_order(shop.context, purchase.id, "cancel", "", "ann", NOW)
    assert (shop.read(purchase.id).state, statuses(account)) == (PurchaseState.CANCELLED, ["canceled"])
    assert shop.unit_counts("mug") == (3, 0, 0)


def test_an_order_on_hold_is_not_cancelled_while_a_call_may_be_under_way(shop: ShopFixture, account: Account) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    with pytest.raises(Unavailable):
        cancel_order(shop.context, purchase.id, "cancel", "", "ann", NOW)
    assert (shop.read(purchase.id).state, shop.unit_counts("mug")) == (PurchaseState.ON_HOLD, (2, 0, 1))
    cancel_order(shop.context, purchase.id, "cancel", "", "ann", NOW + 2 * MINUTE)
    assert (shop.read(purchase.id).state, shop.unit_counts("mug")) == (PurchaseState.CANCELLED, (3, 0, 0))


def test_a_released_order_captures_the_money_it_had_reserved(shop: ShopFixture, account: Account) -> None:
    purchase = authorised_without_webhook(shop, account)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    release_from_hold(shop.context, purchase.id, "ann", NOW)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert (shop.read(purchase.id).state, statuses(account)) == (PurchaseState.PAID, ["succeeded"])


def test_a_capture_that_answers_500_after_it_took_the_money_pays_the_order(shop: ShopFixture, account: Account) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    account.fail_next("payment_intents.capture", faults.server_error(after_effect=True, stored=True))
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    assert captured_at(account) == purchase.totals.total


def test_a_refund_in_the_console_is_recorded_by_reconciliation(shop: ShopFixture, account: Account) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    process_attempt(shop.context, purchase.id, 1, NOW)
    account.console_refund(account.records("payment_intent")[0]["id"], 100)
    account.advance(60)
    found = compare_all(shop.context, NOW + 10 * MINUTE)
    assert (found.refunds_recorded, found.differences) == (1, [])
    assert [one.amount for one in shop.read(purchase.id).refunds] == [100]


def test_payments_of_other_software_are_no_differences(shop: ShopFixture, account: Account) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    process_attempt(shop.context, purchase.id, 1, NOW)
    account.foreign_payment(metadata={"attempt": "first", "purchase": purchase.id})
    account.advance(60)
    found = compare_all(shop.context, NOW + 10 * MINUTE)
    assert (found.movements, found.foreign, found.differences) == (2, 1, [])
