"""What an id opens: a purchase's parts for who buys, and of a placed one no person and no address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.instants import clock
from tests.api.conftest import Answer, Api, express, paying
from tests.api.schemas import CART, CHECKOUT, assert_valid

HOME = {"id": "home", "first_name": "Jane", "street_address": "1 High Street", "address_country": "GB"}
PERSONAL = ("jane", "high street", "leeds")


def a_purchase() -> dict[str, Any]:
    return express() | {"fulfillment": {"methods": [{"type": "shipping", "destinations": [HOME]}]}}


def readings(api: Api, bare: str, **headers: str) -> Iterator[tuple[str, Answer]]:
    """Every call by which somebody who knows an id learns of its purchase."""
    yield CART, api.send("GET", f"/carts/cart_{bare}", **headers)
    yield CHECKOUT, api.send("GET", f"/checkout-sessions/chk_{bare}", **headers)
    yield CART, api.send("PUT", f"/carts/cart_{bare}", {"line_items": []}, **headers)
    yield CHECKOUT, api.send("PUT", f"/checkout-sessions/chk_{bare}", {"line_items": []}, **headers)
    yield CHECKOUT, api.send("POST", f"/checkout-sessions/chk_{bare}/complete", paying(), **headers)
    yield CHECKOUT, api.send("POST", f"/checkout-sessions/chk_{bare}/cancel", {}, **headers)
    yield CHECKOUT, api.send("POST", "/checkout-sessions", {"cart_id": f"cart_{bare}"}, **headers)


def a_placed_one(api: Api) -> str:
    made = api.send("POST", "/checkout-sessions", a_purchase())
    assert made.body["buyer"]["email"] == "jane@example.com"
    assert made.body["fulfillment"]["methods"][0]["destinations"] == [HOME]
    placed = api.send("POST", f"/checkout-sessions/{made.body['id']}/complete", paying())
    assert placed.body["status"] == "complete_in_progress"
    return str(made.body["id"].removeprefix("chk_"))


@pytest.mark.parametrize("paid", [False, True])
def test_the_id_of_a_placed_or_paid_order_opens_no_person_and_no_address(api: Api, paid: bool) -> None:
    api.an_open_drop()
    bare = a_placed_one(api)
    if paid:
        api.shop.checkout.capture(bare, 1, clock())
    for key in ({}, {"x_api_key": "key-of-other"}, {"x_api_key": "wrong"}):
        for schema, answer in readings(api, bare, **key):
            assert_valid(schema, answer.body)
            assert answer.body["totals"][-1]["amount"] == 1645
            assert not [word for word in PERSONAL if word in answer.text.lower()], answer.text
            if schema == CHECKOUT:
                (method,) = answer.body["fulfillment"]["methods"]
                assert method["destinations"] == [{"id": "home", "address_country": "GB"}]
                assert answer.body["status"] == ("completed" if paid else "complete_in_progress")


def test_a_cancelled_purchase_opens_no_person_either(api: Api) -> None:
    api.an_open_drop()
    made = api.send("POST", "/checkout-sessions", a_purchase())
    path = f"/checkout-sessions/{made.body['id']}"
    for answer in (api.send("POST", f"{path}/cancel", {}), api.send("GET", path)):
        assert answer.body["status"] == "canceled"
        assert not [word for word in PERSONAL if word in answer.text.lower()], answer.text


def test_the_platform_with_its_key_sees_who_buys_and_where_to(api: Api) -> None:
    api.an_open_drop()
    bare = a_placed_one(api)
    api.shop.checkout.capture(bare, 1, clock())
    for schema, answer in readings(api, bare, x_api_key="key-of-lively"):
        assert_valid(schema, answer.body)
        assert answer.body["buyer"]["email"] == "jane@example.com"
        if schema == CHECKOUT:
            assert answer.body["fulfillment"]["methods"][0]["destinations"] == [HOME]


def test_no_log_line_has_what_opens_a_purchase(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.an_open_drop(stock=9)
    ids = []
    for credential in ("ok", "declined", "capture_refused"):
        made = api.send("POST", "/checkout-sessions", a_purchase())
        bare = made.body["id"].removeprefix("chk_")
        api.send("POST", f"/checkout-sessions/chk_{bare}/complete", paying(credential))
        api.shop.checkout.capture(bare, 1, clock())
        ids.append(bare)
    api.shop.checkout.capture("x" * 22, 1, clock())
    lines = [vars(record) for record in caplog.records]
    named = [line["purchase"] for line in lines if "purchase" in line]
    assert len(set(named)) == 4, "orders paid and attempts ended are logged, each under a name of its own"
    for bare in [*ids, "x" * 22]:
        assert bare[:9] not in str(lines)
