"""Access by id: an open purchase is readable, and a placed one shows no buyer and no address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import clock
from tests.api.conftest import ApiClient, ApiReply, express_checkout, payment_body
from tests.api.schemas import CART, CHECKOUT, assert_valid

HOME = {"id": "home", "first_name": "Jane", "street_address": "1 High Street", "address_country": "GB"}
PERSONAL = ("jane", "high street", "leeds")


def a_checkout_request() -> dict[str, Any]:
    return express_checkout() | {"fulfillment": {"methods": [{"type": "shipping", "destinations": [HOME]}]}}


def read_purchase(api: ApiClient, purchase_id: str, **headers: str) -> Iterator[tuple[str, ApiReply]]:
    """Send every request by which a caller with an id can read its purchase."""
    yield CART, api.send("GET", f"/carts/cart_{purchase_id}", **headers)
    yield CHECKOUT, api.send("GET", f"/checkout-sessions/chk_{purchase_id}", **headers)
    yield CART, api.send("PUT", f"/carts/cart_{purchase_id}", {"line_items": []}, **headers)
    yield CHECKOUT, api.send("PUT", f"/checkout-sessions/chk_{purchase_id}", {"line_items": []}, **headers)
    yield CHECKOUT, api.send("POST", f"/checkout-sessions/chk_{purchase_id}/complete", payment_body(), **headers)
    yield CHECKOUT, api.send("POST", f"/checkout-sessions/chk_{purchase_id}/cancel", {}, **headers)
    yield CHECKOUT, api.send("POST", "/checkout-sessions", {"cart_id": f"cart_{purchase_id}"}, **headers)


def place_order(api: ApiClient) -> str:
    made = api.send("POST", "/checkout-sessions", a_checkout_request())
    assert made.body["buyer"]["email"] == "jane@example.com"
    assert made.body["fulfillment"]["methods"][0]["destinations"] == [HOME]
    placed = api.send("POST", f"/checkout-sessions/{made.body['id']}/complete", payment_body())
    assert placed.body["status"] == "complete_in_progress"
    return str(made.body["id"].removeprefix("chk_"))


@pytest.mark.parametrize("paid", [False, True])
def test_id_of_a_placed_or_paid_order_shows_no_buyer_and_no_address(api: ApiClient, paid: bool) -> None:
    api.an_open_drop()
    purchase_id = place_order(api)
    if paid:
        process_attempt(api.services.context, purchase_id, 1, clock())
    for key in ({}, {"x_api_key": "key-of-other"}, {"x_api_key": "wrong"}):
        for schema, answer in read_purchase(api, purchase_id, **key):
            assert_valid(schema, answer.body)
            assert answer.body["totals"][-1]["amount"] == 1645
            assert not [word for word in PERSONAL if word in answer.text.lower()], answer.text
            if schema == CHECKOUT:
                (method,) = answer.body["fulfillment"]["methods"]
                assert method["destinations"] == [{"id": "home", "address_country": "GB"}]
                assert answer.body["status"] == ("completed" if paid else "complete_in_progress")


def test_id_of_a_cancelled_purchase_shows_no_buyer(api: ApiClient) -> None:
    api.an_open_drop()
    made = api.send("POST", "/checkout-sessions", a_checkout_request())
    path = f"/checkout-sessions/{made.body['id']}"
    for answer in (api.send("POST", f"{path}/cancel", {}), api.send("GET", path)):
        assert answer.body["status"] == "canceled"
        assert not [word for word in PERSONAL if word in answer.text.lower()], answer.text


def test_platform_with_its_key_reads_buyer_and_address(api: ApiClient) -> None:
    api.an_open_drop()
    purchase_id = place_order(api)
    process_attempt(api.services.context, purchase_id, 1, clock())
    for schema, answer in read_purchase(api, purchase_id, x_api_key="key-of-lively"):
        assert_valid(schema, answer.body)
        assert answer.body["buyer"]["email"] == "jane@example.com"
        if schema == CHECKOUT:
            assert answer.body["fulfillment"]["methods"][0]["destinations"] == [HOME]


def test_log_lines_have_no_id_that_gives_access_to_a_purchase(api: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    api.an_open_drop(stock=9)
    ids = []
    for credential in ("ok", "declined", "capture_refused"):
        made = api.send("POST", "/checkout-sessions", a_checkout_request())
        purchase_id = made.body["id"].removeprefix("chk_")
        api.send("POST", f"/checkout-sessions/chk_{purchase_id}/complete", payment_body(credential))
        process_attempt(api.services.context, purchase_id, 1, clock())
        ids.append(purchase_id)
    process_attempt(api.services.context, "x" * 22, 1, clock())
    lines = [vars(record) for record in caplog.records]
    named = [line["purchase"] for line in lines if "purchase" in line]
    assert len(set(named)) == 4, "orders paid and attempts ended are logged, each under a name of its own"
    for purchase_id in [*ids, "x" * 22]:
        assert purchase_id[:9] not in str(lines)


STRANGER = 'profile="https://stranger.example/profile"'
NEIGHBOUR = 'profile="https://neighbour.example/profile"'


def create_checkout(api: ApiClient, **headers: str) -> str:
    made = api.send("POST", "/checkout-sessions", a_checkout_request(), idempotency_key="key-1", **headers)
    assert made.status == 201
    return str(made.body["id"])


def test_equal_idempotency_keys_of_two_callers_are_two_purchases(api: ApiClient) -> None:
    api.an_open_drop(stock=9)
    callers: list[dict[str, str]] = [
        {"ucp_agent": STRANGER},
        {"ucp_agent": NEIGHBOUR},
        {},
        {"x_api_key": "key-of-lively"},
    ]
    ids = [create_checkout(api, **headers) for headers in callers]
    assert len(set(ids)) == len(callers)
    assert [create_checkout(api, **headers) for headers in callers] == ids
    assert (
        create_checkout(api, x_api_key="wrong")
        == create_checkout(api, x_api_key="key-of-other")
        == create_checkout(api)
    )


def test_caller_without_the_key_creates_orders_of_the_named_platform(api: ApiClient) -> None:
    api.an_open_drop()
    purchase_id = place_order(api)
    process_attempt(api.services.context, purchase_id, 1, clock())
    order = api.send("GET", f"/orders/ord_{purchase_id}", x_api_key="key-of-lively")
    assert (order.body["id"], order.body["attribution"]) == (f"ord_{purchase_id}", {"channel": "lively-app"})


def test_repeated_create_shows_no_buyer_that_it_did_not_send(api: ApiClient) -> None:
    api.an_open_drop()
    body = {"line_items": a_checkout_request()["line_items"]}
    key = {"idempotency_key": "key-1"}
    made = api.send("POST", "/checkout-sessions", body, **key)
    assert (
        api.send("PUT", f"/checkout-sessions/{made.body['id']}", a_checkout_request()).body["buyer"]["first_name"]
        == "Jane"
    )
    again = api.send("POST", "/checkout-sessions", body, **key)
    assert_valid(CHECKOUT, again.body)
    assert (again.status, again.body["id"], again.body["status"]) == (201, made.body["id"], "ready_for_complete")
    assert not [word for word in PERSONAL if word in again.text.lower()], again.text


def test_repeated_create_shows_the_buyer_that_it_sent(api: ApiClient) -> None:
    api.an_open_drop()
    first, again = (
        api.send("POST", "/checkout-sessions", a_checkout_request(), idempotency_key="key-1", ucp_agent=STRANGER).body
        for _ in range(2)
    )
    assert again["buyer"] == first["buyer"] == a_checkout_request()["buyer"]
    assert again["fulfillment"]["methods"][0]["destinations"] == [HOME]


def test_repeated_create_of_the_platform_with_its_key_shows_everything(api: ApiClient) -> None:
    api.an_open_drop()
    body, headers = {"line_items": a_checkout_request()["line_items"]}, {"x_api_key": "key-of-lively"}
    cart = api.send("POST", "/carts", body, idempotency_key="key-1", **headers)
    api.send("PUT", f"/carts/{cart.body['id']}", body | {"buyer": {"first_name": "Jane"}}, **headers)
    again = api.send("POST", "/carts", body, idempotency_key="key-1", **headers)
    assert (again.body["id"], again.body["buyer"]) == (cart.body["id"], {"first_name": "Jane"})
    assert_valid(CART, again.body)
