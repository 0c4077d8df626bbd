"""Requests of buyers, from the first hold to the refunded order, checked with the protocol's own schemas."""

from __future__ import annotations

from chalicelib.capture import process_attempt
from chalicelib.instants import clock
from tests.api.conftest import ApiClient, express_checkout, payment_body
from tests.api.schemas import BUSINESS, CART, CHECKOUT, ERROR, LOOKUP, ORDER, assert_valid


def amounts(body: dict[str, list[dict[str, int]]]) -> dict[object, int]:
    return {part["type"]: part["amount"] for part in body["totals"]}


def test_profile_is_a_business_profile(api: ApiClient) -> None:
    answer = api.send("GET", "/.well-known/ucp", ucp_agent=None)
    assert answer.status == 200
    assert_valid(BUSINESS, answer.body["ucp"])
    assert answer.body["ucp"]["services"]["dev.ucp.shopping"][0]["endpoint"] == "http://shop.example"


def test_cart_holds_units_until_it_is_cancelled(api: ApiClient) -> None:
    api.an_open_drop(stock=3)
    made = api.send("POST", "/carts", {"line_items": [{"item": {"id": "mug"}, "quantity": 2}]})
    assert made.status == 201
    assert_valid(CART, made.body)
    assert amounts(made.body) == {"subtotal": 2500, "tax": 0, "total": 2500}
    assert api.send("GET", "/drops/mug/audit").body["held"] == 2
    gone = api.send("POST", f"/carts/{made.body['id']}/cancel", {})
    assert gone.status == 200
    assert_valid(CART, gone.body)
    assert api.send("GET", "/drops/mug/audit").body["available"] == 3
    after = api.send("GET", f"/carts/{made.body['id']}")
    assert (after.status, after.body["messages"][0]["code"]) == (200, "not_found")
    assert_valid(ERROR, after.body)


def test_express_purchase_becomes_an_order_by_create_and_complete(api: ApiClient) -> None:
    api.an_open_drop(stock=3)
    made = api.send("POST", "/checkout-sessions", express_checkout(quantity=2))
    assert (made.status, made.body["status"]) == (201, "ready_for_complete")
    assert_valid(CHECKOUT, made.body)
    assert amounts(made.body) == {"subtotal": 2500, "fulfillment": 395, "tax": 0, "total": 2895}
    path = f"/checkout-sessions/{made.body['id']}"
    placed = api.send("POST", f"{path}/complete", payment_body())
    assert (placed.status, placed.body["status"]) == (200, "complete_in_progress")
    assert_valid(CHECKOUT, placed.body)
    assert '"ok"' not in placed.text
    purchase_id = made.body["id"].removeprefix("chk_")
    process_attempt(api.services.context, purchase_id, 1, clock())
    paid = api.send("GET", path)
    assert (paid.body["status"], paid.body["order"]["id"]) == ("completed", f"ord_{purchase_id}")
    assert_valid(CHECKOUT, paid.body)
    line = paid.body["line_items"][0]["id"]
    body = {"lines": [{"line_item_id": line, "quantity": 1}], "restock": True}
    back = api.send("POST", f"/orders/ord_{purchase_id}/refunds", body)
    assert (back.status, back.body["amount"]) == (201, {"amount": 1250, "currency": "GBP"})
    order = api.send("GET", f"/orders/ord_{purchase_id}", x_api_key="key-of-lively")
    assert_valid(ORDER, order.body)
    assert order.body["line_items"][0]["quantity"] == {"original": 2, "total": 1, "fulfilled": 0}
    assert order.body["adjustments"][0]["totals"] == [{"type": "total", "amount": -1250}]
    assert order.body["attribution"] == {"channel": "lively-app"}
    for key in ("key-of-other", "wrong"):
        hidden = api.send("GET", f"/orders/ord_{purchase_id}", x_api_key=key)
        assert (hidden.status, hidden.body["messages"][0]["code"]) == (200, "not_found")
        assert_valid(ERROR, hidden.body)
    assert api.send("GET", f"/orders/ord_{purchase_id}").status == 401


def test_missing_fields_are_named_and_selected_options_are_used(api: ApiClient) -> None:
    api.an_open_drop()
    lines = express_checkout()["line_items"]
    made = api.send("POST", "/checkout-sessions", {"line_items": lines})
    assert (made.status, made.body["status"]) == (201, "incomplete")
    assert_valid(CHECKOUT, made.body)
    assert {one["code"] for one in made.body["messages"]} == {"missing"}
    homes = [{"id": "a", "address_country": "US", "street_address": "1 A"}, {"id": "b", "address_country": "GB"}]
    groups = [{"id": "package_1", "selected_option_id": "express"}]
    method = {"type": "shipping", "destinations": homes, "selected_destination_id": "a", "groups": groups}
    body = {"line_items": lines, "buyer": {"email": "j@example.com"}, "fulfillment": {"methods": [method]}}
    changed = api.send("PUT", f"/checkout-sessions/{made.body['id']}", body)
    assert (changed.status, changed.body["status"]) == (200, "ready_for_complete")
    assert_valid(CHECKOUT, changed.body)
    shown = changed.body["fulfillment"]["methods"][0]
    assert (shown["selected_destination_id"], shown["groups"][0]["selected_option_id"]) == ("a", "express")


def test_repeated_key_returns_the_purchase_and_refuses_another_body(api: ApiClient) -> None:
    api.an_open_drop()
    first = api.send("POST", "/checkout-sessions", express_checkout(), idempotency_key="once")
    again = api.send("POST", "/checkout-sessions", express_checkout(), idempotency_key="once")
    assert (first.status, again.status, again.body["id"]) == (201, 201, first.body["id"])
    before = api.snapshot()
    other = api.send("POST", "/checkout-sessions", express_checkout(quantity=2), idempotency_key="once")
    assert (other.status, other.body["field"]) == (409, "Idempotency-Key")
    assert api.snapshot() == before


def test_unavailable_units_are_answered_without_a_resource(api: ApiClient) -> None:
    api.an_open_drop("later", opens_at="2199-01-01T00:00:00Z")
    cases = {"nothing": "item_unavailable", "a b/\x00": "item_unavailable", "later": "drop_not_open"}
    for drop_id, code in cases.items():
        answer = api.send("POST", "/checkout-sessions", express_checkout(drop_id))
        assert (answer.status, answer.body["messages"][0]["code"]) == (200, code)
        assert answer.body["messages"][0]["severity"] == "unrecoverable"
        assert_valid(ERROR, answer.body)
    assert answer.body["messages"][0]["opens_at"] == "2199-01-01T00:00:00.000Z"


def test_lookup_has_price_and_availability(api: ApiClient) -> None:
    api.an_open_drop()
    answer = api.send("POST", "/catalog/lookup", {"ids": ["mug", "nothing", "mug"]})
    assert answer.status == 200
    assert_valid(LOOKUP, answer.body)
    (product,) = answer.body["products"]
    assert product["variants"][0]["availability"] == {"available": True, "status": "in_stock"}
    assert answer.body["messages"] == [{"type": "info", "code": "not_found", "content": "nothing"}]


def test_cart_becomes_a_checkout_session(api: ApiClient) -> None:
    api.an_open_drop()
    cart = api.send("POST", "/carts", {"line_items": express_checkout()["line_items"]})
    made = api.send("POST", "/checkout-sessions", {"cart_id": cart.body["id"], "line_items": []})
    assert (made.status, made.body["id"]) == (201, cart.body["id"].replace("cart_", "chk_"))
    assert made.body["line_items"][0]["quantity"] == 1
    assert_valid(CHECKOUT, made.body)


def test_checkout_session_links_to_the_pages_of_the_shop(api: ApiClient) -> None:
    api.an_open_drop()
    assert api.send("POST", "/checkout-sessions", express_checkout()).body["links"] == [
        {"type": "terms_of_service", "url": "https://brand.example/terms"},
        {"type": "privacy_policy", "url": "https://brand.example/privacy"},
    ]
