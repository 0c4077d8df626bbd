"""One attempt to pay: stock before money, each end of an attempt, and workers that die or come late."""

from __future__ import annotations

import pytest

from chalicelib.capture import fail_attempt, process_attempt, received_money
from chalicelib.checkout import cancel_purchase, complete_purchase, update_purchase
from chalicelib.errors import Conflict, WriteConflict
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import (
    AuthorisationRequest,
    Authorised,
    Captured,
    Declined,
    OutcomeUnknownError,
    SandboxGateway,
)
from chalicelib.purchase import CheckoutResult, NoPurchase, PurchaseState
from chalicelib.recovery import recover_lost_orders
from chalicelib.stock import HoldGone, Stock
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_purchase_request
from tests.builders.shop import ShopFixture, once


def message_codes(answer: CheckoutResult | NoPurchase) -> list[str]:
    return [message.code for message in answer.messages]


def test_completing_places_the_purchase_and_commits_its_units(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    placed = shop.place(("mug", 2))
    assert (placed.state, placed.attempt, placed.epoch, placed.version) == (PurchaseState.PLACED, 1, 1, 2)
    assert shop.unit_counts("mug") == (1, 0, 2)


def test_the_worker_captures_and_marks_paid_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    placed = shop.place(("mug", 2))
    for _ in range(3):
        process_attempt(shop.context, placed.id, 1, NOW)
    paid = shop.read(placed.id)
    assert (paid.state, paid.version, paid.paid_at) == (PurchaseState.PAID, 3, NOW)
    assert paid.payment is not None
    assert (paid.payment.token, paid.payment.failure) == (None, None)
    assert isinstance(shop.gateway.find(paid.id, 1, now=NOW), Captured)
    assert shop.unit_counts("mug") == (1, 0, 2)


def test_completing_again_with_the_same_key_returns_the_present_state(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    answer = complete_purchase(shop.context, paid.id, a_complete_request(key="pay-key-1"), NOW)
    assert isinstance(answer, CheckoutResult)
    assert answer.purchase == paid
    with pytest.raises(Conflict):
        complete_purchase(shop.context, paid.id, a_complete_request("declined", key="pay-key-1"), NOW)
    other = complete_purchase(shop.context, paid.id, a_complete_request(key="pay-2"), NOW)
    assert message_codes(other) == ["already_completed"]
    assert shop.read(paid.id) == paid


def test_a_placed_purchase_is_neither_updated_nor_cancelled(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    placed = shop.place(("mug", 1))
    assert message_codes(update_purchase(shop.context, placed.id, a_purchase_request(("mug", 2), key="late"), NOW)) == [
        "complete_in_progress"
    ]
    assert message_codes(cancel_purchase(shop.context, placed.id, PLATFORM, "c", "", NOW)) == ["complete_in_progress"]
    assert shop.read(placed.id) == placed
    assert shop.unit_counts("mug") == (2, 0, 1)


def test_an_incomplete_purchase_is_not_placed(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1), destination=None)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
    assert message_codes(answer) == ["missing"]
    assert shop.read(purchase.id) == purchase


def test_a_decline_opens_the_purchase_again_with_its_units_held(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="declined")
    process_attempt(shop.context, placed.id, 1, NOW)
    opened = shop.read(placed.id)
    assert opened.state is PurchaseState.OPEN
    assert opened.payment is not None
    assert (opened.payment.failure, opened.payment.token) == ("card_declined", None)
    assert shop.unit_counts("mug") == (0, 1, 0)
    retried = complete_purchase(shop.context, placed.id, a_complete_request("ok", "pay-again"), NOW + SECOND)
    assert isinstance(retried, CheckoutResult)
    process_attempt(shop.context, placed.id, 2, NOW + SECOND)
    assert shop.read(placed.id).state is PurchaseState.PAID
    assert shop.unit_counts("mug") == (0, 0, 1)


def test_attempts_to_pay_are_bounded(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    for attempt in range(1, 21):
        complete_purchase(shop.context, purchase.id, a_complete_request("declined", f"pay-{attempt}"), NOW)
        process_attempt(shop.context, purchase.id, attempt, NOW)
    before = shop.read(purchase.id)
    assert (before.state, before.attempt) == (PurchaseState.OPEN, 20)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request("ok", "once more"), NOW)
    assert [(one.code, one.severity) for one in answer.messages] == [("payment_failed", "unrecoverable")]
    assert shop.read(purchase.id) == before
    cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel", "", NOW)
    assert shop.unit_counts("mug") == (1, 0, 0)


def test_a_late_message_of_a_declined_attempt_changes_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="declined")
    process_attempt(shop.context, placed.id, 1, NOW)
    opened = shop.read(placed.id)
    process_attempt(shop.context, placed.id, 1, NOW)
    assert shop.read(placed.id) == opened
    assert shop.unit_counts("mug") == (0, 1, 0)


def test_an_authorisation_made_after_its_attempt_ended_is_voided(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="capture_refused")
    cancel_purchase(shop.context, placed.id, PLATFORM, "too-late", "", NOW)
    process_attempt(shop.context, placed.id, 1, NOW)
    again = complete_purchase(shop.context, placed.id, a_complete_request("declined", "pay-again"), NOW)
    assert isinstance(again, CheckoutResult)
    late = AuthorisationRequest(placed.id, 3, placed.totals.total, "GBP", "ok", {}, NOW)
    shop.gateway.authorise(late, now=NOW)
    process_attempt(shop.context, placed.id, 3, NOW)
    found = shop.gateway.find(placed.id, 3, now=NOW)
    assert isinstance(found, Declined)
    assert found.code == "voided"


def test_money_captured_for_an_ended_attempt_raises_an_alarm(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    found = shop.gateway.authorise(AuthorisationRequest(purchase.id, 1, 1_670, "GBP", "ok", {}, NOW), now=NOW)
    assert isinstance(found, Authorised)
    counted: list[str] = []
    for module in (fail_attempt, received_money):
        monkeypatch.setattr(module, "count", counted.append)

    def rival() -> None:
        shop.gateway.capture(found.provider_id, attempt=1, amount=1_670, currency="GBP", now=NOW)

    once(monkeypatch, SandboxGateway, "void", before=rival)
    with pytest.raises(WriteConflict):
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert counted == []
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert counted == ["captures_without_order"]
    assert shop.read(purchase.id) == purchase


def test_a_late_message_of_a_paid_order_raises_no_alarm(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=1)
    paid = shop.pay(("mug", 1))
    counted: list[str] = []
    for module in (fail_attempt, received_money):
        monkeypatch.setattr(module, "count", counted.append)
    process_attempt(shop.context, paid.id, 1, NOW)
    assert (shop.read(paid.id), counted) == (paid, [])


def test_an_attempt_captured_by_another_worker_is_not_ended(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    monkeypatch.setattr(Stock, "commit", lambda *_: HoldGone())
    placed = complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
    assert isinstance(placed, CheckoutResult)
    found = shop.gateway.authorise(AuthorisationRequest(purchase.id, 1, 1_670, "GBP", "ok", {}, NOW), now=NOW)
    assert isinstance(found, Authorised)

    def rival() -> None:
        shop.gateway.capture(found.provider_id, attempt=1, amount=1_670, currency="GBP", now=NOW)

    once(monkeypatch, SandboxGateway, "void", before=rival)
    with pytest.raises(WriteConflict):
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id) == placed.purchase


def test_units_of_a_declined_attempt_expire_by_themselves(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="declined")
    process_attempt(shop.context, placed.id, 1, NOW)
    later = NOW + 10 * MINUTE
    assert shop.open_purchase(("mug", 1), key="other", now=later).lines[0].quantity == 1


def test_a_declined_purchase_can_be_cancelled(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="declined")
    process_attempt(shop.context, placed.id, 1, NOW)
    cancel_purchase(shop.context, placed.id, PLATFORM, "cancel", "", NOW)
    assert shop.unit_counts("mug") == (1, 0, 0)


def test_a_provider_that_did_not_answer_is_asked_again_and_charges_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="timeout")
    with pytest.raises(OutcomeUnknownError):
        process_attempt(shop.context, placed.id, 1, NOW)
    assert shop.read(placed.id).state is PurchaseState.PLACED
    process_attempt(shop.context, placed.id, 1, NOW + SECOND)
    paid = shop.read(placed.id)
    assert (paid.state, paid.epoch) == (PurchaseState.PAID, 2)
    assert shop.unit_counts("mug") == (0, 0, 1)


def test_the_worker_commits_units_that_placing_left_uncommitted(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=2)
    purchase = shop.open_purchase(("mug", 2))
    real = type(shop.stock).commit

    def dies(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(type(shop.stock), "commit", dies)
    with pytest.raises(SystemExit):
        complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
    monkeypatch.setattr(type(shop.stock), "commit", real)
    assert shop.unit_counts("mug") == (0, 2, 0)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    assert shop.unit_counts("mug") == (0, 0, 2)


def test_units_gone_before_they_were_committed_end_the_attempt_without_a_charge(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=1)
    shop.put_drop("bowl", stock=1)
    purchase = shop.open_purchase(("mug", 1), ("bowl", 1))
    real = type(shop.stock).commit

    def dies(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(type(shop.stock), "commit", dies)
    with pytest.raises(SystemExit):
        complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
    monkeypatch.setattr(type(shop.stock), "commit", real)
    later = NOW + 10 * MINUTE
    shop.open_purchase(("mug", 1), key="other", now=later)
    process_attempt(shop.context, purchase.id, 1, later)
    opened = shop.read(purchase.id)
    assert opened.state is PurchaseState.OPEN
    assert opened.payment is not None
    assert opened.payment.failure == "out_of_stock"
    assert shop.gateway.find(purchase.id, 1, now=later) is None
    assert shop.unit_counts("bowl", later) == (0, 1, 0)
    again = complete_purchase(shop.context, purchase.id, a_complete_request(key="pay-again"), later + SECOND)
    assert message_codes(again) == ["all_held", "hold_lapsed"]
    assert shop.read(purchase.id) == opened


def test_an_expired_hold_nobody_reclaimed_still_buys(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    purchase = shop.open_purchase(("mug", 1))
    later = NOW + 8 * MINUTE
    complete_purchase(shop.context, purchase.id, a_complete_request(), later)
    process_attempt(shop.context, purchase.id, 1, later)
    assert shop.read(purchase.id).state is PurchaseState.PAID


def test_an_order_whose_message_was_lost_is_enqueued_again(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    placed = shop.place(("mug", 1))
    enqueued: list[tuple[str, int]] = []
    recover_lost_orders(
        shop.context, lambda purchase_id, attempt: enqueued.append((purchase_id, attempt)), NOW + 30 * SECOND
    )
    assert enqueued == []
    found = recover_lost_orders(
        shop.context, lambda purchase_id, attempt: enqueued.append((purchase_id, attempt)), NOW + 2 * MINUTE
    )
    assert enqueued == [(placed.id, 1)]
    assert (found.purchases, found.enqueued) == (1, 1)
