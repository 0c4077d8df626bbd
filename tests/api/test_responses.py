"""Every answer of the product's own routes has exactly the fields of the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chalicelib.api import ROUTES
from chalicelib.api.openapi import build_openapi
from chalicelib.capture import process_attempt
from chalicelib.instants import business_day, clock
from chalicelib.pricing import DEFAULT_MARKETS
from chalicelib.purchase import Purchase
from tests.api.conftest import ApiClient, ApiReply, express_checkout, payment_body
from tests.api.test_routes import a_cue, post_signed_cue


def forbid_other_fields(schema: Any) -> Any:
    """Return a schema that allows only its own fields."""
    if isinstance(schema, list):
        return [forbid_other_fields(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: forbid_other_fields(part) for name, part in schema.items()}
    return inner | ({"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {})


def assert_matches_document(answer: ApiReply, method: str, path: str) -> None:
    whole = forbid_other_fields(build_openapi(ROUTES, "https://shop.example"))
    content = whole["paths"][path][method]["responses"][str(answer.status)]["content"]["application/json"]
    errors = Draft202012Validator(whole | content["schema"]).iter_errors(answer.body)
    assert [f"{path} {error.json_path}: {error.message}" for error in errors] == []


def place_order(api: ApiClient) -> str:
    """Place an order that is not paid yet, and return its id."""
    session = api.send("POST", "/checkout-sessions", express_checkout()).body["id"]
    assert api.send("POST", f"/checkout-sessions/{session}/complete", payment_body()).status == 200
    return f"ord_{session.removeprefix('chk_')}"


def place_paid_order_with_line(api: ApiClient) -> tuple[str, str]:
    """Place and pay an order, and return its id and the id of its line."""
    session = api.send("POST", "/checkout-sessions", express_checkout()).body["id"]
    assert api.send("POST", f"/checkout-sessions/{session}/complete", payment_body()).status == 200
    purchase_id = session.removeprefix("chk_")
    placed_purchase = api.services.context.purchases.read(purchase_id)
    assert isinstance(placed_purchase, Purchase)
    process_attempt(api.services.context, purchase_id, placed_purchase.attempt, clock())
    return f"ord_{purchase_id}", placed_purchase.lines[0].id


def test_every_answer_has_exactly_the_fields_of_the_document(api: ApiClient) -> None:
    api.an_open_drop()
    show = {"title": "Show", "currency": "GBP", "starts_at": "2026-01-01T00:00:00Z"}
    price = {"amount": 5, "currency": "GBP"}
    drop = {"show_id": "s2", "sku": "M", "title": "M", "unit_price": price, "stock": 9}
    today = business_day(clock(), "Europe/London").isoformat()
    (order, line), (other, _), held = place_paid_order_with_line(api), place_paid_order_with_line(api), place_order(api)
    back = {"lines": [{"line_item_id": line, "quantity": 1}], "restock": True}
    requests: list[tuple[str, str, str, object]] = [
        ("PUT", "/shows/{id}", "/shows/s2", show),
        ("PUT", "/shows/{id}", "/shows/s2", show),
        ("PUT", "/drops/{id}", "/drops/new", drop),
        ("POST", "/drops/{id}/stock", "/drops/mug/stock", {"quantity": 1}),
        ("PUT", "/discounts/{code}", "/discounts/SAVE10", {"title": "Ten off", "percent_bps": 1_000, "budget_uses": 9}),
        ("GET", "/discounts/{code}", "/discounts/SAVE10", None),
        ("GET", "/drops/{id}/audit", "/drops/mug/audit", None),
        ("POST", "/drops/{id}/repair", "/drops/mug/repair", {}),
        ("GET", "/shows/{id}", "/shows/s1", None),
        ("GET", "/shows/{id}/live", "/shows/s1/live", None),
        ("POST", "/orders/{id}/refunds", f"/orders/{order}/refunds", back),
        ("POST", "/orders/{id}/cancellation", f"/orders/{other}/cancellation", {}),
        ("POST", "/orders/{id}/hold", f"/orders/{held}/hold", {}),
        ("POST", "/orders/{id}/release", f"/orders/{held}/release", {}),
        ("POST", "/orders/{id}/hold", f"/orders/{held}/hold", {}),
        ("POST", "/orders/{id}/cancellation", f"/orders/{held}/cancellation", {}),
        ("POST", "/exports", "/exports", {"date": today, "show_id": "s1"}),
        ("GET", "/exports/{date}", f"/exports/{today}", None),
        ("PUT", "/markets", "/markets", DEFAULT_MARKETS.model_dump(mode="json")),
        ("GET", "/markets", "/markets", None),
        ("GET", "/drops/{id}/risk", "/drops/mug/risk", None),
        ("GET", "/cues/refused", "/cues/refused", None),
        ("GET", "/orders/{id}/money", f"/orders/{order}/money", None),
        ("GET", "/health", "/health", None),
    ]
    for method, path, address, body in requests:
        answer = api.send(method, address, body)
        assert answer.status < 300, answer.text
        assert_matches_document(answer, method.lower(), path)
    waiting = api.send("PUT", "/drops/waiting", drop)
    assert_matches_document(waiting, "put", "/drops/{id}")
    assert_matches_document(post_signed_cue(api, a_cue(subject="waiting")), "post", "/cues")
    typed_routes = {(route.method, route.path) for route in ROUTES if isinstance(route.response_model, type)}
    elsewhere = {("POST", "/cues"), ("POST", "/webhooks/stripe"), ("PUT", "/drops/{id}/risk")}
    assert typed_routes == {(method, path) for method, path, _, _ in requests} | elsewhere


def test_field_outside_the_document_is_found(api: ApiClient) -> None:
    health = api.send("GET", "/health")
    for body in ({"status": "ok", "more": 1}, {"status": "fine"}, {}):
        with pytest.raises(AssertionError):
            assert_matches_document(ApiReply(200, health.headers, json.dumps(body)), "get", "/health")


def test_every_answer_to_buyers_has_a_schema_of_the_protocol() -> None:
    paths = build_openapi(ROUTES, "https://shop.example")["paths"]
    for route in ROUTES:
        if route.error_format == "ucp":
            content = paths[route.path][route.method.lower()]["responses"]["200"]["content"]["application/json"]
            success, error = (one["$ref"] for one in content["schema"]["anyOf"])
            assert success.startswith("https://ucp.dev/2026-04-08/schemas/shopping/"), route.path
            assert error == "https://ucp.dev/2026-04-08/schemas/shopping/types/error_response.json"
