"""Bad requests: the answer is a 4xx that names the field, never a 5xx, and nothing changed."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from chalicelib.api import ROUTES
from tests.api.conftest import SECRETS, ApiClient, express_checkout, payment_body, token

ELSEWHERE = {"/cues", "/webhooks/stripe", "/sandbox/challenges/{id}/{attempt}"}
"""Signed, or a page. Their tests are in test_routes.py and test_webhooks.py."""
CHANGES = [route for route in ROUTES if route.method in ("POST", "PUT") and route.path not in ELSEWHERE]
SOME = "x" * 22


def path_of(path: str) -> str:
    prefix = {"/carts": "cart_", "/check": "chk_", "/order": "ord_"}.get(path[:6], "")
    return path.replace("{id}", prefix + SOME).replace("{date}", "2026-11-23").replace("{code}", "SAVE10")


BODIES: dict[str, tuple[bytes, int]] = {
    "cut short": (b'{"line_items": [', 400),
    "not an object": (b"[1]", 400),
    "no JSON number": (b'{"line_items": NaN}', 400),
    "no JSON number either": (b'{"line_items": -Infinity}', 400),
    "an overflown number": (b'{"line_items": 1e999}', 400),
    "a number of 5000 digits": (b'{"line_items": ' + b"9" * 5000 + b"}", 400),
    "nested deeply": (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400),
    "nested too deeply for us": (b'{"a":' * 100 + b"1" + b"}" * 100, 400),
    "a lone surrogate": (b'{"line_items": "\\ud800"}', 400),
    "not UTF-8": (b'{"line_items": "\xff"}', 400),
    "wrong type": (json.dumps({"line_items": 5, "title": 5, "lines": 5, "quantity": "1", "ids": 5}).encode(), 400),
    "over 1 MB": (b'{"a": "' + b"x" * 1_000_000 + b'"}', 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_bad_body_is_refused_with_its_field(api: ApiClient, name: str) -> None:
    api.an_open_drop()
    before, (body, status) = api.snapshot(), BODIES[name]
    for route in CHANGES:
        if name == "wrong type" and route.path.endswith("/cancel"):
            continue  # UCP objects are open, and a cancel reads no field of its body
        answer = api.send(route.method, path_of(route.path), body)
        assert answer.status == status, (route.path, answer.text)
        if status == 400:
            assert answer.body["field"].startswith("$"), route.path
    assert api.snapshot() == before


def test_body_of_another_content_type_is_refused(api: ApiClient) -> None:
    for route in CHANGES:
        assert api.send(route.method, path_of(route.path), b"a=b", content_type="text/plain").status == 415


UCP_FAULTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/carts", {}, "$.line_items"),
    ("POST", "/carts", {"line_items": [{"item": {"id": "mug"}, "quantity": 0}]}, "$.line_items[0].quantity"),
    ("POST", "/carts", {"line_items": [{"item": {"id": "mug"}, "quantity": True}]}, "$.line_items[0].quantity"),
    ("POST", "/carts", {"line_items": [{"item": {"id": "mug"}, "quantity": 2**70}]}, "$.line_items[0].quantity"),
    ("POST", "/carts", {"line_items": [{"item": {"id": 7}, "quantity": 1}]}, "$.line_items[0].item.id"),
    ("POST", "/carts", {"line_items": [{"item": {"id": "mug"}, "quantity": 1}] * 101}, "$.line_items"),
    ("POST", "/checkout-sessions", {}, "$.line_items"),
    ("POST", "/checkout-sessions", express_checkout() | {"buyer": {"email": 5}}, "$.buyer.email"),
    ("POST", "/checkout-sessions", express_checkout() | {"attribution": {"channel": 5}}, "$.attribution.channel"),
    ("POST", "/checkout-sessions/chk_x/complete", {}, "$.payment"),
    ("POST", "/checkout-sessions/chk_x/complete", {"payment": {"instruments": []}}, "$.payment.instruments"),
    ("POST", "/catalog/lookup", {"ids": []}, "$.ids"),
    ("POST", "/catalog/lookup", {"ids": ["a"] * 101}, "$.ids"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), UCP_FAULTS)
def test_wrong_ucp_field_is_named(api: ApiClient, method: str, path: str, body: dict[str, Any], field: str) -> None:
    api.an_open_drop()
    before = api.snapshot()
    answer = api.send(method, path, body)
    assert (answer.status, answer.body["field"]) == (400, field)
    assert {"code", "content"} <= answer.body.keys()
    assert api.snapshot() == before


def test_unknown_fields_are_ignored_by_ucp_routes_and_refused_by_others(api: ApiClient) -> None:
    api.an_open_drop()
    body = express_checkout() | {"status": "completed", "totals": 5, "unknown": {"a": None}}
    assert api.send("POST", "/checkout-sessions", body).status == 201
    before = api.snapshot()
    answer = api.send("POST", "/drops/mug/stock", {"quantity": 1, "unknown": 1})
    assert (answer.status, answer.body["field"]) == (400, "$.unknown")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert api.snapshot() == before


def test_change_without_key_or_platform_is_refused(api: ApiClient) -> None:
    api.an_open_drop()
    before = api.snapshot()
    for route in CHANGES:
        if route.requires_idempotency_key:
            for key in (None, "", "a b", "k" * 256):
                answer = api.send(route.method, path_of(route.path), express_checkout(), idempotency_key=key)
                assert (answer.status, answer.body["field"]) == (400, "Idempotency-Key"), route.path
    for route in ROUTES:
        if route.error_format == "ucp":
            for agent in (None, "", "profile=x", 'profile="not an address"', 'other="https://a.example"'):
                answer = api.send(route.method, path_of(route.path), express_checkout(), ucp_agent=agent)
                assert (answer.status, answer.body["field"]) == (400, "UCP-Agent"), route.path
    assert api.snapshot() == before


def test_operators_and_finance_routes_need_their_own_scope(api: ApiClient) -> None:
    before = api.snapshot()
    for route in ROUTES:
        if route.scope:
            bad = [None, "Bearer", "Basic YTpi", "Bearer a.b.c", "Bearer " + token(route.scope, seconds=-1)]
            bad.append("Bearer " + token(route.scope, secret="another secret, long enough for HS256"))
            for header in bad:
                answer = api.send(route.method, path_of(route.path), {}, authorization=header)
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), route.path
            other = "finance" if route.scope == "operator" else "operator"
            answer = api.send(route.method, path_of(route.path), {}, authorization="Bearer " + token(other))
            assert answer.status == 403, route.path
    assert api.snapshot() == before


CLAIMS: list[dict[str, object]] = [
    {"sub": ""}, {"sub": " "}, {"sub": None}, {"sub": 7}, {"sub": ["ada"]},
    {"exp": None}, {"exp": ""}, {"exp": "9999999999"}, {"exp": 9_999_999_999.5}, {"exp": 1e300}, {"exp": True},
    {"exp": [9_999_999_999]}, {"nbf": "0"}, {"nbf": 0.5}, {"nbf": 9_999_999_999},
]  # fmt: skip


@pytest.mark.parametrize("claims", CLAIMS, ids=str)
def test_token_without_holder_or_end_is_refused(api: ApiClient, claims: dict[str, object]) -> None:
    before = api.snapshot()
    good = {"sub": "ada", "exp": 9_999_999_999, "scope": "operator finance"}
    show = {"title": "Show", "currency": "GBP", "starts_at": "2026-01-01T00:00:00Z"}
    bearer = "Bearer " + jwt.encode(good | claims, SECRETS.jwt_secret, algorithm="HS256")
    assert api.send("PUT", "/shows/s1", show, authorization=bearer).status == 401
    assert api.snapshot() == before
    bearer = "Bearer " + jwt.encode(good, SECRETS.jwt_secret, algorithm="HS256")
    assert api.send("PUT", "/shows/s1", show, authorization=bearer).status == 201


@pytest.mark.parametrize("identifier", ["unknown", "chk_" + SOME, "a%00b", "%ff", "x" * 3000, "..", "cart_"])
def test_unknown_ids_are_not_found(api: ApiClient, identifier: str) -> None:
    for path in ("/carts/", "/checkout-sessions/", "/orders/"):
        answer = api.send("GET", path + identifier, x_api_key="key-of-lively")
        assert (answer.status, answer.body["messages"][0]["code"]) == (200, "not_found")
    assert api.send("POST", f"/checkout-sessions/{identifier}/complete", payment_body()).status == 200
    for path in (f"/shows/{identifier}", f"/shows/{identifier}/live", f"/drops/{identifier}/audit"):
        assert api.send("GET", path).status == 404
    refund = {"lines": [{"line_item_id": "li_1", "quantity": 1}], "restock": False}
    assert api.send("POST", f"/orders/{identifier}/refunds", refund).status == 404
    assert api.send("GET", f"/exports/{identifier}").status == 400


def test_unknown_method_is_answered_by_a_problem_document(api: ApiClient) -> None:
    for method in ("PATCH", "DELETE", "HEAD"):
        answer = api.send(method, "/carts")
        assert (answer.status, answer.body["code"]) == (405, "method_not_allowed")
        assert answer.body["detail"] == f"Unsupported method: {method}"
        assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_event_without_a_request_is_answered_by_a_problem_document(api: ApiClient) -> None:
    answer = api.app({"requestContext": {}}, None)
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["code"], problem["detail"]) == (500, "internal_error", "Unknown request.")


def test_put_under_a_malformed_id_is_refused(api: ApiClient) -> None:
    api.an_open_drop()
    before = api.snapshot()
    show = {"title": "Show", "currency": "GBP", "starts_at": "2026-01-01T00:00:00Z"}
    drop = {"show_id": "s1", "sku": "M", "title": "M", "unit_price": {"amount": 1, "currency": "GBP"}, "stock": 1}
    for identifier in ("-a", "a b", "x" * 65, "mug%0a"):
        for answer in (api.send("PUT", f"/shows/{identifier}", show), api.send("PUT", f"/drops/{identifier}", drop)):
            assert (answer.status, answer.body["field"]) == (400, "id")
    assert api.snapshot() == before
