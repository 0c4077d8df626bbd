"""Reconciliation goes on with what a lost message left open, and reports what a person has to settle."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import HOUR, MINUTE
from chalicelib.payments import AuthorisationRequest, Authorised, Declined
from chalicelib.purchase import (
    PurchaseState,
    Written,
)
from chalicelib.recovery import reconcile_payments
from chalicelib.recovery.reconcile import ReconciliationReport
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture

LATER = NOW + 2 * MINUTE


def run_reconciliation(shop: ShopFixture, now: int = LATER) -> ReconciliationReport:
    """Reconcile once, and let the worker process the enqueued attempts."""
    enqueued: list[tuple[str, int]] = []
    report = reconcile_payments(shop.context, lambda *attempt: enqueued.append(attempt), NOW - HOUR, now)
    for attempt in enqueued:
        process_attempt(shop.context, *attempt, now)
    assert report.enqueued == len(enqueued)
    return report


def test_matching_payments_and_orders_change_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    shop.pay(("mug", 1))
    declined = shop.place(("mug", 1), token="declined", key="other")
    process_attempt(shop.context, declined.id, 1, NOW)
    waiting = shop.place(("mug", 1), token="requires_action", key="third")
    process_attempt(shop.context, waiting.id, 1, NOW)
    assert run_reconciliation(shop) == ReconciliationReport(payments=3, orders=1)


def test_payments_before_the_period_are_left_out(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    shop.pay(("mug", 1))
    assert reconcile_payments(shop.context, lambda *_: None, LATER, LATER) == ReconciliationReport()


def test_an_authorisation_whose_worker_died_is_captured(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    total = placed.totals.total
    shop.gateway.authorise(AuthorisationRequest(placed.id, 1, total, "GBP", "ok", {}, NOW), now=NOW)
    assert run_reconciliation(shop, NOW + MINUTE // 2).enqueued == 0
    assert run_reconciliation(shop).enqueued == 1
    assert shop.read(placed.id).state is PurchaseState.PAID
    assert run_reconciliation(shop) == ReconciliationReport(payments=1, orders=1)


def test_an_authorisation_of_an_ended_attempt_is_voided(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1))
    found = shop.gateway.authorise(AuthorisationRequest(purchase.id, 1, 1_670, "GBP", "ok", {}, NOW), now=NOW)
    assert isinstance(found, Authorised)
    assert run_reconciliation(shop).enqueued == 1
    assert isinstance(shop.gateway.find(purchase.id, 1, now=NOW), Declined)


def test_a_refund_whose_webhook_was_lost_is_recorded(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    shop.gateway.refund(f"sbx_{paid.id}#1", refund_id="in-the-console", amount=300, now=NOW)
    found = run_reconciliation(shop)
    assert (found.refunds_recorded, found.differences) == (1, [])
    assert [(one.amount, one.requested_by) for one in shop.read(paid.id).refunds] == [(300, "provider")]
    assert run_reconciliation(shop) == ReconciliationReport(payments=1, orders=1)


def test_a_refund_that_the_order_knows_is_not_recorded_again(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    after, _ = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    assert run_reconciliation(shop) == ReconciliationReport(payments=1, orders=1)
    assert shop.read(paid.id) == after


def test_a_payment_without_an_order_is_reported(shop: ShopFixture) -> None:
    shop.gateway.authorise(AuthorisationRequest("unknown", 1, 500, "GBP", "ok", {}, NOW), now=NOW)
    assert run_reconciliation(shop).differences == [("no_order", "sbx_unknown#1", "")]


def test_a_capture_for_a_purchase_that_is_not_paid_is_reported(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    purchase = shop.open_purchase(("mug", 1))
    shop.gateway.authorise(AuthorisationRequest(purchase.id, 1, 500, "GBP", "ok", {}, NOW), now=NOW)
    shop.gateway.capture(f"sbx_{purchase.id}#1", attempt=1, amount=500, currency="GBP", now=NOW)
    assert run_reconciliation(shop).differences == [
        ("captured_without_order", f"sbx_{purchase.id}#1", f"ord_{purchase.id}")
    ]


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("SET captured = :n", "amount"),
        ("SET currency = :s", "amount"),
        ("REMOVE refunds.#r", "refund"),
        ("SET refunds.#r = :n", "refund"),
    ],
)
def test_another_amount_at_the_provider_is_reported(shop: ShopFixture, damage: str, difference: str) -> None:
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
    assert [kind for kind, _, _ in run_reconciliation(shop).differences] == [difference]
    assert shop.read(paid.id) == after


def test_an_order_whose_payment_is_missing_at_the_provider_is_reported(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    shop.tables.dynamodb.delete_item(TableName=shop.tables.sandbox, Key={"pk": {"S": f"{paid.id}#1"}})
    assert run_reconciliation(shop).differences == [("missing_at_provider", f"sbx_{paid.id}#1", f"ord_{paid.id}")]


def test_a_refund_that_only_the_provider_has_completed_is_reported(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    after, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    refused = refund.model_copy(update={"completed_at": None, "failure_code": "amount_too_large"})
    behind = after.model_copy(update={"version": after.version + 1, "refunds": (refused,)})
    assert shop.context.purchases.replace(behind) == Written()
    assert [kind for kind, _, _ in run_reconciliation(shop).differences] == ["refund"]
