"""A buyer whose order waits in line for the payment provider learns how long the line is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.api import ROUTES, LivedropApi, OrderLine, register_routes
from chalicelib.capture import process_attempt
from chalicelib.instants import SECOND, clock
from chalicelib.streams.messaging import Queue
from tests.api.conftest import ApiClient, express_checkout, payment_body
from tests.builders.purchases import NOW


def with_line(api: ApiClient, read_length: Callable[[], int]) -> ApiClient:
    """Return the API with a line of this length, of which 20 orders a second are paid."""
    services = replace(api.services, order_line=OrderLine(read_length, 20))
    app = LivedropApi(app_name="in-line", configure_logs=False)
    register_routes(app, ROUTES, lambda: services)
    return ApiClient(app, services, api.tables, [])


def place(api: ApiClient) -> dict[str, Any]:
    """Place an order, and return the answer."""
    api.an_open_drop("mug")
    session = api.send("POST", "/checkout-sessions", express_checkout("mug")).body
    placed: dict[str, Any] = api.send("POST", f"/checkout-sessions/{session['id']}/complete", payment_body("ok")).body
    assert placed["status"] == "complete_in_progress"
    return placed


def in_line(answer: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [
        (one["type"], one["orders_ahead_about"], one["seconds_about"])
        for one in answer["messages"]
        if one["code"] == "in_line"
    ]


def test_placed_order_tells_the_length_of_the_line(api: ApiClient) -> None:
    api = with_line(api, lambda: 401)
    placed = place(api)
    assert in_line(placed) == [("info", 401, 24)]
    read = api.send("GET", f"/checkout-sessions/{placed['id']}").body
    assert in_line(read) == [("info", 401, 24)]


def test_message_promises_no_time() -> None:
    message = OrderLine(lambda: 2_000, 20).message(NOW)
    assert message is not None
    assert "about 103 seconds. It takes longer while" in message.content
    assert "at most" not in message.content


def test_paid_order_is_in_no_line(api: ApiClient) -> None:
    api = with_line(api, lambda: 401)
    placed = place(api)
    process_attempt(api.services.context, placed["id"].removeprefix("chk_"), 1, clock())
    read = api.send("GET", f"/checkout-sessions/{placed['id']}").body
    assert (read["status"], in_line(read)) == ("completed", [])


def test_short_line_has_no_message(api: ApiClient) -> None:
    assert in_line(place(with_line(api, lambda: 20))) == []


def test_unknown_line_has_no_message(api: ApiClient) -> None:
    def unreachable() -> int:
        raise EndpointConnectionError(endpoint_url="https://sqs")

    assert in_line(place(with_line(api, unreachable))) == []


def test_provider_without_limits_has_no_line(api: ApiClient) -> None:
    assert api.services.order_line is None
    assert in_line(place(api)) == []


def test_length_is_read_once_a_second() -> None:
    lengths = iter([100, 200])
    line = OrderLine(lambda: next(lengths), 20)
    messages = [line.message(NOW), line.message(NOW + SECOND - 1), line.message(NOW + SECOND)]
    assert [one.extra["orders_ahead_about"] for one in messages if one is not None] == [100, 100, 200]


@pytest.mark.usefixtures("moto_aws")
def test_queue_counts_messages_that_wait_and_those_in_work() -> None:
    sqs = boto3.client("sqs")
    queue = Queue(sqs, sqs.create_queue(QueueName="line")["QueueUrl"])
    queue.send([{"number": number} for number in range(5)])
    sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=2)
    assert queue.length() == 5
