"""A broken invariant is counted at the entry point that it reaches, so that its alarm goes off."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

import boto3
import pytest

import app
from chalicelib.api import LivedropApi, register_routes
from chalicelib.api.requests import ApiRequest, Route
from chalicelib.errors import InvariantBroken, WriteConflict
from chalicelib.instants import MINUTE
from chalicelib.purchase import Purchase
from chalicelib.recovery import recover_lost_orders
from chalicelib.refunds.allocation import allocate_refund
from chalicelib.refunds.refund import with_refund
from chalicelib.streams.batch import each_message
from chalicelib.streams.jobs import audit_drop
from chalicelib.streams.messaging import Queue
from chalicelib.telemetry import flush
from tests.api.conftest import ApiClient, api
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture
from tests.streams.conftest import a_queue_batch

__all__ = ["api"]

Counts = Callable[[], dict[str, float]]


@pytest.fixture
def counts(capsys: pytest.CaptureFixture[str]) -> Counts:
    """The sums of all metrics that were flushed since the last call."""
    flush()
    capsys.readouterr()

    def read() -> dict[str, float]:
        flush()
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        return {name: sum(value) for line in lines for name, value in line.items() if isinstance(value, list)}

    return read


def fail(*_: Any, **__: Any) -> NoReturn:
    raise InvariantBroken("Bucket 3 of drop mug does not exist.")


def test_broken_invariant_in_a_view_is_counted_and_answered_with_500(api: ApiClient, counts: Counts) -> None:
    def view(request: ApiRequest) -> NoReturn:
        fail()

    broken_app = LivedropApi(app_name="broken", configure_logs=False)
    register_routes(broken_app, [Route("GET", "/broken", view, "Break", (200,))], lambda: api.services)
    answer = ApiClient(broken_app, api.services, api.tables, []).send("GET", "/broken")
    assert (answer.status, answer.body["code"]) == (500, "invariant_broken")
    assert answer.body["type"] == "urn:livedrop:problem:invariant_broken"
    assert counts() == {"invariants_broken": 1}


def test_broken_invariant_in_a_queue_message_is_counted_and_fails_that_message(counts: Counts) -> None:
    def handle(message: dict[str, Any], _: int) -> None:
        if message["broken"]:
            fail()

    answer = each_message(a_queue_batch({"broken": True}, {"broken": False}), "captures", handle)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert counts() == {"invariants_broken": 1, "captures_failed": 1}


def test_broken_invariant_in_a_function_is_counted_and_fails_the_invocation(counts: Counts) -> None:
    with pytest.raises(InvariantBroken):
        app.flush_metrics({}, fail)
    assert counts() == {"invariants_broken": 1}


def test_broken_invariant_in_an_audit_by_command_is_counted_and_answered(
    shop: ShopFixture, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug")
    monkeypatch.setattr(shop.tables.dynamodb, "get_item", fail)
    request = {"drop_id": "mug", "repair": False, "detail": 1, "from_bucket": 0}
    assert audit_drop(request, shop.context, Queue(boto3.client("sqs"), ""), NOW)["code"] == "invariant_broken"
    assert counts() == {"invariants_broken": 1}


def test_write_conflict_is_no_broken_invariant(counts: Counts) -> None:
    def lose(_: object, delivery: int) -> NoReturn:
        raise WriteConflict("Another worker moved the purchase. Retry later.")

    each_message(a_queue_batch({}), "captures", lose)
    assert counts() == {"captures_failed": 1}


@pytest.fixture
def order_with_missing_bucket(shop: ShopFixture) -> tuple[Purchase, Purchase]:
    """Two paid orders; the first has a pending refund with restock, and its bucket does not exist."""
    shop.put_drop("jug")
    shop.put_drop("mug")
    broken, whole = shop.pay(("jug", 2), key="broken"), shop.pay(("mug", 2), key="whole")
    request = a_refund_request((broken.lines[0].id, 1), restock=True)
    pending = with_refund(broken, request, allocate_refund(broken, request), NOW)
    shop.context.purchases.replace(pending)
    shop.tables.dynamodb.delete_item(TableName=shop.tables.stock, Key={"pk": {"S": "jug#0"}})
    return broken, whole


def test_broken_invariant_in_the_nightly_recovery_is_counted_and_the_other_orders_go_on(
    shop: ShopFixture, counts: Counts, order_with_missing_bucket: tuple[Purchase, Purchase]
) -> None:
    counts()
    report = recover_lost_orders(shop.context, lambda *_: None, NOW + 5 * MINUTE)
    assert (report.purchases, report.failed) == (2, 1)
    assert counts()["invariants_broken"] == 1


def test_broken_invariant_of_one_order_does_not_end_the_reconciliation(
    shop: ShopFixture,
    counts: Counts,
    order_with_missing_bucket: tuple[Purchase, Purchase],
) -> None:
    broken, whole = order_with_missing_bucket
    (pending,) = shop.read(broken.id).refunds
    answer_lost = f"{broken.id}-{pending.id}"
    shop.gateway.refund(f"sbx_{broken.id}#1", refund_id=answer_lost, amount=pending.amount, now=NOW)
    shop.gateway.refund(f"sbx_{whole.id}#1", refund_id="console", amount=5, now=NOW)
    counts()
    report = compare_all(shop.context, NOW + 10 * MINUTE)
    assert (report.refunds_recorded, report.failed) == (1, 1)
    assert [refund.amount for refund in shop.read(whole.id).refunds] == [5]
    assert counts()["invariants_broken"] == 1
