"""Reconciliation goes on with what a lost message left open, and names what a person has to settle."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import DAY, HOUR, MINUTE, Instant
from chalicelib.payments import AuthorisationRequest, Authorised, Declined
from chalicelib.payments.sandbox.afterwards import DISPUTE_OPENS_AFTER, dispute_id_of
from chalicelib.purchase import Dispute, PurchaseState, Written
from chalicelib.recovery import Comparison, reconcile_payments
from chalicelib.recovery.reconciliation.follow_balance import SETTLING_TIME
from chalicelib.recovery.reconciliation.reconcile import PERIOD
from chalicelib.refunds import record_dispute, refund_order
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture

LATER = NOW + 10 * MINUTE


def compare(shop: ShopFixture, now: Instant = LATER) -> Comparison:
    """Compare once, and let the worker process the enqueued attempts."""
    enqueued: list[tuple[str, int]] = []
    comparison = compare_all(shop.context, now, lambda *attempt: enqueued.append(attempt))
    for attempt in enqueued:
        process_attempt(shop.context, *attempt, now)
    assert comparison.enqueued == len(enqueued)
    return comparison


def differences(comparison: Comparison) -> list[tuple[Any, ...]]:
    assert comparison.differences_count == len(comparison.differences)
    names = ("kind", "subject", "order_id", "expected", "found")
    return [tuple(one[name] for name in names) for one in comparison.differences]


def counts(comparison: Comparison) -> tuple[int, ...]:
    found = comparison
    return (found.purchases, found.orders, found.movements, found.enqueued, found.refunds_recorded, found.failed)


def test_matching_payments_and_orders_change_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    paid = shop.pay(("mug", 1))
    declined = shop.place(("mug", 1), token="declined", key="other")
    process_attempt(shop.context, declined.id, 1, NOW)
    waiting = shop.place(("mug", 1), token="requires_action", key="third")
    process_attempt(shop.context, waiting.id, 1, NOW)
    before = [shop.read(one.id) for one in (paid, declined, waiting)]
    found = compare(shop)
    assert (counts(found), differences(found)) == ((3, 1, 1, 1, 0, 0), [])
    assert [shop.read(one.id) for one in (paid, declined, waiting)] == before
    again = [counts(compare(shop, LATER + days * DAY))[3] for days in (2, 4)]
    assert again == [1, 0], "a late payment may come to an attempt that ended just before the first comparison"


def test_an_authorisation_whose_worker_died_is_captured(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    total = placed.totals.total
    shop.gateway.authorise(AuthorisationRequest(placed.id, 1, total, "GBP", "ok", {}, NOW), now=NOW)
    assert compare(shop, NOW + MINUTE // 2).enqueued == 0
    assert compare(shop).enqueued == 1
    assert shop.read(placed.id).state is PurchaseState.PAID
    assert counts(compare(shop, LATER + 10 * MINUTE)) == (1, 1, 1, 0, 0, 0)


def test_a_capture_whose_worker_died_is_finished_by_the_worker(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    total = placed.totals.total
    shop.gateway.authorise(AuthorisationRequest(placed.id, 1, total, "GBP", "ok", {}, NOW), now=NOW)
    shop.gateway.capture(f"sbx_{placed.id}#1", attempt=1, amount=total, currency="GBP", now=NOW)
    found = compare(shop)
    assert (found.enqueued, differences(found)) == (1, [])
    assert shop.read(placed.id).state is PurchaseState.PAID


def test_an_authorisation_of_an_ended_attempt_is_voided(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    ended = placed.model_copy(update={"state": PurchaseState.OPEN, "version": placed.version + 1})
    assert shop.context.purchases.replace(ended) == Written()
    total = placed.totals.total
    late = shop.gateway.authorise(AuthorisationRequest(placed.id, 1, total, "GBP", "ok", {}, NOW), now=NOW)
    assert isinstance(late, Authorised)
    assert compare(shop).enqueued == 1
    assert isinstance(shop.gateway.find(placed.id, 1, now=NOW), Declined)


@pytest.mark.parametrize("age", [MINUTE, 7 * DAY, 30 * DAY])
def test_a_refund_whose_webhook_was_lost_is_recorded_whatever_the_payments_age(shop: ShopFixture, age: Instant) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    shop.gateway.refund(f"sbx_{paid.id}#1", refund_id="in-the-console", amount=300, now=NOW + age)
    found = compare(shop, LATER + age)
    assert (found.refunds_recorded, differences(found)) == (1, [])
    assert [(one.amount, one.requested_by) for one in shop.read(paid.id).refunds] == [(300, "provider")]
    assert (compare(shop, LATER + age + HOUR).refunds_recorded, differences(found)) == (0, [])


def test_a_refund_that_the_order_knows_is_not_recorded_again(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    after, _ = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    for now in (LATER, LATER + 3 * DAY):
        assert (counts(compare(shop, now)), differences(compare(shop, now))) == ((1, 1, 2, 0, 0, 0), [])
    assert shop.read(paid.id) == after


def test_a_refund_whose_answer_was_lost_is_recorded_as_ours(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    after, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    waiting = refund.model_copy(update={"completed_at": None, "provider_id": None, "restocked": False})
    behind = after.model_copy(update={"version": after.version + 1, "refunds": (waiting,)})
    assert shop.context.purchases.replace(behind) == Written()
    found = compare(shop)
    assert (found.refunds_recorded, differences(found)) == (1, [])
    (recorded,) = shop.read(paid.id).refunds
    assert (recorded.id, recorded.provider_id) == (refund.id, refund.provider_id)
    assert recorded.completed_at is not None


def a_capture(shop: ShopFixture, purchase_id: str, amount: int, now: Instant = NOW) -> None:
    shop.gateway.authorise(AuthorisationRequest(purchase_id, 1, amount, "GBP", "ok", {}, now), now=now)
    shop.gateway.capture(f"sbx_{purchase_id}#1", attempt=1, amount=amount, currency="GBP", now=now)


def test_a_payment_without_an_order_is_named_with_its_amount(shop: ShopFixture) -> None:
    a_capture(shop, "unknown", 500)
    assert differences(compare(shop)) == [("no_order", "sbx_unknown#1", "ord_unknown", 0, 500)]


def test_a_capture_for_a_purchase_that_is_not_paid_is_named_until_it_is_refunded(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1))
    a_capture(shop, purchase.id, 500)
    named = [("captured_without_order", f"sbx_{purchase.id}#1", f"ord_{purchase.id}", 0, 500)]
    assert differences(compare(shop)) == named
    shop.gateway.refund(f"sbx_{purchase.id}#1", refund_id="by-hand", amount=500, now=LATER)
    assert differences(compare(shop, LATER + HOUR)) == []


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("SET captured = :n", ("amount", "payment", 2_945, 1)),
        ("SET currency = :s", ("amount", "payment", 2_945, 2_945)),
        ("REMOVE refunds.#r", ("refund", "refund", 1_275, 0)),
        ("SET refunds.#r = :n", ("refund", "refund", 1_275, 1)),
    ],
)
def test_another_amount_at_the_provider_is_named_with_both_amounts(
    shop: ShopFixture, damage: str, difference: tuple[str, str, int, int]
) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    after, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    values: dict[str, Any] = {":n": {"N": "1"}, ":s": {"S": "USD"}}
    call: dict[str, Any] = {
        "TableName": shop.tables.sandbox,
        "Key": {"pk": {"S": f"{paid.id}#1"}},
        "UpdateExpression": damage,
        "ExpressionAttributeNames": {"#r": f"{paid.id}-{refund.id}"},
        "ExpressionAttributeValues": values,
    }
    call["ExpressionAttributeNames"] = {k: v for k, v in call["ExpressionAttributeNames"].items() if k in damage}
    call["ExpressionAttributeValues"] = {k: v for k, v in values.items() if k in damage}
    shop.tables.dynamodb.update_item(**{name: value for name, value in call.items() if value})
    kind, about, expected, found = difference
    subject = f"sbx_{paid.id}#1" if about == "payment" else f"sbx_{paid.id}#1-{paid.id}-{refund.id}"
    named = (kind, subject, f"ord_{paid.id}", expected, found)
    assert named in differences(compare(shop, LATER + 2 * DAY))
    assert shop.read(paid.id) == after


def test_an_order_whose_payment_is_missing_at_the_provider_is_named_after_a_day(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    shop.tables.dynamodb.delete_item(TableName=shop.tables.sandbox, Key={"pk": {"S": f"{paid.id}#1"}})
    assert differences(compare(shop)) == []
    named = [("missing_at_provider", f"sbx_{paid.id}#1", f"ord_{paid.id}", 1_670, 0)]
    assert differences(compare(shop, LATER + DAY)) == named


def test_an_order_paid_before_the_first_stored_movement_is_not_missing(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    shop.pay(("mug", 1))
    found = compare(shop, NOW + 40 * DAY)
    assert (found.movements, differences(found)) == (0, [])


def test_a_refund_that_only_the_provider_has_completed_is_named(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    after, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    refused = refund.model_copy(update={"completed_at": None, "failure_code": "amount_too_large"})
    behind = after.model_copy(update={"version": after.version + 1, "refunds": (refused,)})
    assert shop.context.purchases.replace(behind) == Written()
    assert [one[0] for one in differences(compare(shop, LATER + 2 * DAY))] == ["refund"]


def test_a_dispute_newer_than_the_balance_that_is_known_is_no_difference(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.place(("mug", 1), token="dispute_lost")
    process_attempt(shop.context, paid.id, 1, NOW)
    now = NOW + SETTLING_TIME + DISPUTE_OPENS_AFTER - 1
    assert record_dispute(shop.context, paid.id, dispute_id_of(f"{paid.id}#1"), now)
    found = compare(shop, now)
    assert (found.movements, found.failed, differences(found)) == (1, 0, [])
    assert shop.read(paid.id).disputes[0].withdrawn == paid.totals.total


def test_a_dispute_that_moved_nothing_is_named_after_a_day(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    dispute = Dispute(
        id="dp_1", status="lost", amount=1_670, currency="GBP", opened_at=NOW, withdrawn=1_670, closed_at=NOW
    )
    disputed = paid.model_copy(update={"version": paid.version + 1, "disputes": (dispute,)})
    assert shop.context.purchases.replace(disputed) == Written()
    assert differences(compare(shop, LATER + DAY // 2)) == []
    named = [("dispute", "dp_1", f"ord_{paid.id}", 1_670, 0)]
    assert differences(compare(shop, LATER + 2 * DAY)) == named


def after_calls(number: int) -> Callable[[], bool]:
    """Return a budget that is used up after some questions. The comparison asks before each purchase."""
    calls = count()
    return lambda: next(calls) >= number


def test_a_run_whose_time_is_over_is_continued_by_the_next_one(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    for number in range(5):
        shop.pay(("mug", 1), key=f"key-{number}")
    a_capture(shop, "unknown", 500)
    whole = compare_all(shop.context, LATER)
    read: list[int] = []
    begin, runs = True, 0
    while True:
        report = reconcile_payments(shop.context, lambda *_: None, lambda: LATER + 1, after_calls(9), begin=begin)
        begin, runs = False, runs + 1
        assert report.comparison is not None
        read.append(report.comparison.purchases)
        if report.complete:
            break
        assert report.statement is None
        assert runs < 20
    assert runs > 2
    assert read == sorted(read)
    parts = report.comparison
    assert (parts.purchases, parts.movements, parts.differences, parts.sums) == (
        whole.purchases,
        whole.movements,
        whole.differences,
        whole.sums,
    )


def test_a_scheduled_run_begins_a_comparison_only_when_the_last_one_is_old(shop: ShopFixture) -> None:
    def scheduled(now: Instant) -> Instant:
        report = reconcile_payments(shop.context, lambda *_: None, lambda: now, lambda: False)
        assert report.comparison is not None
        return report.comparison.started_at

    assert scheduled(LATER) == LATER
    assert scheduled(LATER + HOUR) == LATER
    assert scheduled(LATER + PERIOD - 1) == LATER
    assert scheduled(LATER + PERIOD) == LATER + PERIOD
