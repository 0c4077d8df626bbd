"""Answers to watchers, cues by HTTP, cross-origin rules, and the OpenAPI document."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from chalice.deploy.swagger import TemplatedSwaggerGenerator
from standardwebhooks.webhooks import Webhook

from chalicelib.api import ROUTES
from chalicelib.instants import clock, rfc3339
from tests.api.conftest import SECRETS, ApiClient, ApiReply
from tests.api.test_bad_input import path_of


def a_cue(kind: str = "open", **more: object) -> bytes:
    event = {"specversion": "1.0", "id": "c1", "source": "/encoder", "type": f"dev.livedrop.drop.{kind}"}
    return json.dumps(event | {"subject": "mug", "time": rfc3339(clock())} | more).encode()


def post_signed_cue(
    api: ApiClient, body: bytes, secret: str = SECRETS.cue_secrets[0], minutes_ago: int = 0
) -> ApiReply:
    when = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    signature = Webhook(secret).sign("msg_1", when, body.decode())
    stamp = str(int(when.timestamp()))
    return api.send("POST", "/cues", body, webhook_id="msg_1", webhook_timestamp=stamp, webhook_signature=signature)


def test_signed_cue_opens_a_drop_once_by_any_of_the_secrets(api: ApiClient) -> None:
    api.an_open_drop(opens_at=None)
    body = a_cue()
    assert post_signed_cue(api, body).status == 202
    assert post_signed_cue(api, body, SECRETS.cue_secrets[1]).status == 200
    assert api.send("GET", "/shows/s1").body["drops"][0]["state"] == "open"


def test_old_open_cue_is_refused_with_its_reason(api: ApiClient) -> None:
    api.an_open_drop(opens_at=None)
    before = api.snapshot()
    answer = post_signed_cue(api, a_cue(time=rfc3339(clock() - 60_000)))
    assert (answer.status, answer.headers["Content-Type"]) == (409, "application/problem+json")
    assert answer.body["code"] == "stale_open"
    assert answer.body["detail"].endswith("s old. The limit is 30 s.")
    (kept,) = (item for item in api.snapshot() if item not in before)
    assert (kept["id"], kept["code"]) == ({"S": "c1"}, {"S": "stale_open"})
    assert [item for item in api.snapshot() if item != kept] == before
    assert api.send("GET", "/shows/s1/live").body["drops"][0]["state"] == "scheduled"


@pytest.mark.parametrize("signature", [None, "", "v1", "v1,", "v1,AAAA", "v1,\u00e9", "v2,AAAA", "a b,c,d"])
def test_cue_without_a_valid_signature_changes_nothing(api: ApiClient, signature: str | None) -> None:
    api.an_open_drop(opens_at=None)
    before, now = api.snapshot(), str(clock() // 1000)
    for stamp in (now, "nan", "1e400", "", None):
        headers = {"webhook_id": "m", "webhook_timestamp": stamp, "webhook_signature": signature}
        assert api.send("POST", "/cues", a_cue(), **headers).status == 401
    assert post_signed_cue(api, a_cue(), minutes_ago=6).status == 401
    assert post_signed_cue(api, a_cue(), "whsec_YW5vdGhlciBzZWNyZXQ=").status == 401
    assert api.snapshot() == before


def test_live_view_is_cacheable_and_answers_304_when_unchanged(api: ApiClient) -> None:
    api.an_open_drop(stock=3)
    first = api.send("GET", "/shows/s1/live")
    assert (first.status, first.headers["Cache-Control"]) == (200, "public, max-age=1")
    (drop,) = first.body["drops"]
    assert (drop["state"], drop["available"], drop["held"], drop["sold"], drop["size"]) == ("open", 3, 0, 0, 3)
    assert drop["unit_price"] == {"amount": 1250, "currency": "GBP"}
    again = api.send("GET", "/shows/s1/live", if_none_match=f'W/"other", {first.headers["ETag"]}')
    assert (again.status, again.text) == (304, "")
    api.send("POST", "/drops/mug/stock", {"quantity": 2})
    changed = api.send("GET", "/shows/s1/live", if_none_match=first.headers["ETag"])
    assert (changed.status, changed.body["drops"][0]["size"]) == (200, 5)
    assert changed.headers["ETag"] != first.headers["ETag"]
    never_seen = api.send("GET", "/shows/s1/live", if_none_match='"never seen"')
    assert (never_seen.status, never_seen.headers["ETag"]) == (200, changed.headers["ETag"])


def test_only_pages_of_configured_origins_may_call_a_route(api: ApiClient) -> None:
    asked = api.send("OPTIONS", "/carts", origin="https://brand.example")
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, "https://brand.example")
    assert asked.headers["Access-Control-Allow-Methods"] == "POST"
    for route in ROUTES:
        path = path_of(route.path)
        asked = api.send("OPTIONS", path, origin="https://brand.example")
        assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, "https://brand.example"), path
        assert route.method in asked.headers["Access-Control-Allow-Methods"].split(", "), path
        assert {"Authorization", "Idempotency-Key"} <= set(asked.headers["Access-Control-Allow-Headers"].split(", "))
        answered = api.send(route.method, path, origin="https://brand.example")
        assert answered.headers["Access-Control-Allow-Origin"] == "https://brand.example", path
        for method in ("OPTIONS", route.method):
            other = api.send(method, path, origin="https://x.example")
            assert "Access-Control-Allow-Origin" not in other.headers, path
            assert other.headers["Vary"] == "Origin", path


def test_head_answers_the_headers_of_get_without_body(api: ApiClient) -> None:
    api.an_open_drop()
    paths = [path_of(route.path) for route in ROUTES if route.method == "GET"]
    assert len(paths) == 16
    for path in [*paths, "/shows/s1", "/shows/s1/live", "/drops/mug/audit"]:
        got, head = api.send("GET", path), api.send("HEAD", path)
        assert (head.status, head.headers, head.text) == (got.status, got.headers, ""), path
    tag = api.send("GET", "/shows/s1/live").headers["ETag"]
    assert api.send("HEAD", "/shows/s1/live", if_none_match=tag).status == 304


def test_api_gateway_has_routes_for_head_and_options() -> None:
    import app

    for path, methods in TemplatedSwaggerGenerator().generate_swagger(app.app)["paths"].items():
        assert "options" in methods, path
        assert ("head" in methods) == ("get" in methods), path


def test_health_reads_both_tables(api: ApiClient) -> None:
    assert api.send("GET", "/health").body == {"status": "ok"}
    api.tables.dynamodb.delete_table(TableName=api.tables.stock)
    answer = api.send("GET", "/health")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_document_has_exactly_the_routes_of_the_app() -> None:
    import app

    served = {(path, method) for path, methods in app.app.routes.items() for method in methods}
    from chalicelib.api.openapi import build_openapi

    paths = build_openapi(ROUTES, "https://shop.example")["paths"]
    documented = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    assert {(path, method) for path, method in served if method not in ("HEAD", "OPTIONS")} == documented
