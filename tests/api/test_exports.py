"""Finance requests exports by HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.instants import business_day, clock
from tests.api.conftest import ApiClient


def queued_message_count(api: ApiClient) -> str:
    """Return how many messages are in the exports queue."""
    queue, name = api.services.exports.queue, "ApproximateNumberOfMessages"
    return queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"][name]  # type: ignore[index]


def test_export_is_requested_once_and_listed_at_its_location(api: ApiClient) -> None:
    api.an_open_drop()
    today = business_day(clock(), "Europe/London").isoformat()
    for body in ({"date": today}, {"date": today, "show_id": "s1"}):
        first = api.send("POST", "/exports", body, idempotency_key=f"e{len(body)}")
        again = api.send("POST", "/exports", body, idempotency_key=f"e{len(body)}")
        assert (first.status, again.status, again.body) == (202, 202, first.body)
        assert first.headers["Location"] == f"http://shop.example/exports/{today}"
        listed = api.send("GET", first.headers["Location"].removeprefix("http://shop.example")).body["exports"]
        assert first.body["export_id"] in [one["export_id"] for one in listed]
    assert len(listed) == 2


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"date": "2026-07-01", "show_id": "nobody-knows"}, 404, "$.show_id", "unknown_show"),
    ({"date": "2026-07-01", "show_id": "../x"}, 400, "$.show_id", "invalid_request"),
    ({"date": "2026-07-01", "show_id": ""}, 400, "$.show_id", "invalid_request"),
    ({"date": "2026-07-01", "show_id": "x" * 65}, 400, "$.show_id", "invalid_request"),
    ({"date": "2026-07-01", "show_id": "s1", "close": True}, 400, "$.show_id", "invalid_request"),
    ({"date": "2199-01-01"}, 409, "$.date", "day_not_begun"),
    ({"date": "2199-01-01", "close": True}, 409, "$.date", "day_not_begun"),
    ({"date": "2026-02-30"}, 400, "$.date", "invalid_request"),
]


@pytest.mark.parametrize(("body", "status", "field", "code"), REFUSED)
def test_export_of_something_unknown_is_refused_and_not_enqueued(
    api: ApiClient, body: dict[str, Any], status: int, field: str, code: str
) -> None:
    api.an_open_drop()
    before = api.snapshot()
    answer = api.send("POST", "/exports", body)
    assert (answer.status, answer.body["field"], answer.body["code"]) == (status, field, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (api.snapshot(), queued_message_count(api)) == (before, "0")
