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
from chalicelib.streams.batch import each_message
from chalicelib.streams.jobs import audit_drop
from chalicelib.streams.messaging import Queue
from chalicelib.telemetry import flush
from tests.api.conftest import ApiClient, api
from tests.builders.purchases import NOW
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
    def handle(message: dict[str, Any]) -> None:
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
    def lose(_: object) -> NoReturn:
        raise WriteConflict("Another worker moved the purchase. Retry later.")

    each_message(a_queue_batch({}), "captures", lose)
    assert counts() == {"captures_failed": 1}
