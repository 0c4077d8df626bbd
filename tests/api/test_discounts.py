"""Discounts over HTTP: answers to buyers in the protocol's own schema, and discounts that operators put."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import clock
from chalicelib.stock import Pool
from tests.api.conftest import ApiClient, express_checkout, payment_body
from tests.api.schemas import BUSINESS, CART_WITH_DISCOUNT, CHECKOUT, CHECKOUT_WITH_DISCOUNT, ORDER, assert_valid

GBP = {"currency": "GBP"}
TEN = {"title": "Ten off", "percent_bps": 1_000}


def with_codes(*codes: str, quantity: int = 2) -> dict[str, Any]:
    return express_checkout(quantity=quantity) | {"discounts": {"codes": list(codes)}}


def put(api: ApiClient, code: str = "ten", **changes: Any) -> None:
    assert api.send("PUT", f"/discounts/{code}", TEN | changes).status == 201


def amounts(totals: list[dict[str, Any]]) -> dict[str, int]:
    return {part["type"]: part["amount"] for part in totals}


def totals_add_up(totals: list[dict[str, Any]]) -> bool:
    sums = amounts(totals)
    lines = [sum(line["amount"] for line in part["lines"]) == part["amount"] for part in totals if "lines" in part]
    return sums.pop("total") == sum(sums.values()) and all(lines)


def test_profile_offers_discounts_on_carts_and_checkouts(api: ApiClient) -> None:
    body = api.send("GET", "/.well-known/ucp", ucp_agent=None).body
    assert_valid(BUSINESS, body["ucp"])
    (discount,) = body["ucp"]["capabilities"]["dev.ucp.shopping.discount"]
    assert discount["extends"] == ["dev.ucp.shopping.cart", "dev.ucp.shopping.checkout"]


def test_code_is_shown_by_the_extension_and_totals_add_up(api: ApiClient) -> None:
    api.an_open_drop()
    put(api)
    made = api.send("POST", "/checkout-sessions", with_codes("Ten", "nope"))
    assert made.status == 201
    for schema in (CHECKOUT, CHECKOUT_WITH_DISCOUNT):
        assert_valid(schema, made.body)
    assert "dev.ucp.shopping.discount" in made.body["ucp"]["capabilities"]
    applied = {
        "code": "TEN",
        "title": "Ten off",
        "amount": 250,
        "automatic": False,
        "method": "across",
        "priority": 100,
        "allocations": [{"path": "$.line_items[0]", "amount": 250}],
    }
    assert made.body["discounts"] == {"codes": ["Ten", "nope"], "applied": [applied]}
    assert amounts(made.body["totals"]) == {
        "subtotal": 2_500,
        "items_discount": -250,
        "fulfillment": 395,
        "tax": 0,
        "total": 2_645,
    }
    (line,) = made.body["line_items"]
    assert amounts(line["totals"]) == {"subtotal": 2_500, "items_discount": -250, "total": 2_250}
    assert totals_add_up(made.body["totals"])
    assert totals_add_up(line["totals"])
    (warning,) = made.body["messages"]
    assert (warning["type"], warning["code"]) == ("warning", "discount_code_invalid")
    assert (warning["path"], warning["reason"]) == ("$.discounts.codes[1]", "unknown")


def test_tax_on_top_of_a_discounted_price_adds_up(api: ApiClient) -> None:
    api.an_open_drop()
    put(api)
    address = {"street_address": "1 A", "address_country": "US"}
    body = with_codes("TEN") | {"fulfillment": {"methods": [{"type": "shipping", "destinations": [address]}]}}
    made = api.send("POST", "/checkout-sessions", body).body
    assert_valid(CHECKOUT_WITH_DISCOUNT, made)
    assert totals_add_up(made["totals"])
    assert amounts(made["totals"])["total"] == 2_250 + 995


def test_codes_are_replaced_kept_and_cleared(api: ApiClient) -> None:
    api.an_open_drop()
    put(api)
    made = api.send("POST", "/carts", with_codes("TEN")).body
    assert_valid(CART_WITH_DISCOUNT, made)
    path, lines = f"/carts/{made['id']}", {"line_items": express_checkout(quantity=2)["line_items"]}
    assert api.send("PUT", path, lines).body["discounts"] == made["discounts"]
    assert api.send("PUT", path, lines | {"discounts": {}}).body["discounts"] == made["discounts"]
    cleared = api.send("PUT", path, lines | {"discounts": {"codes": []}}).body
    assert "discounts" not in cleared
    assert amounts(cleared["totals"])["total"] == 2_500


def test_checkout_session_takes_over_the_codes_of_its_cart(api: ApiClient) -> None:
    api.an_open_drop()
    put(api)
    cart = api.send("POST", "/carts", with_codes("TEN")).body
    made = api.send("POST", "/checkout-sessions", {"cart_id": cart["id"], "line_items": []}).body
    assert made["discounts"] == cart["discounts"]


def test_automatic_offer_has_no_code(api: ApiClient) -> None:
    api.an_open_drop()
    put(api, "launch", automatic=True, show_id="s1")
    made = api.send("POST", "/checkout-sessions", express_checkout()).body
    assert_valid(CHECKOUT_WITH_DISCOUNT, made)
    (applied,) = made["discounts"]["applied"]
    assert (applied["automatic"], applied["title"], "code" in applied) == (True, "Ten off", False)
    assert made["discounts"]["codes"] == []


def test_order_with_a_discount_is_placed_paid_and_shown(api: ApiClient) -> None:
    api.an_open_drop()
    put(api, budget_uses=1)
    first, second = (api.send("POST", "/checkout-sessions", with_codes("TEN", quantity=1)).body for _ in "ab")
    placed = api.send("POST", f"/checkout-sessions/{first['id']}/complete", payment_body())
    assert placed.body["status"] == "complete_in_progress"
    purchase_id = first["id"].removeprefix("chk_")
    process_attempt(api.services.context, purchase_id, 1, clock())
    order = api.send("GET", f"/orders/ord_{purchase_id}", x_api_key="key-of-lively").body
    assert_valid(ORDER, order)
    assert amounts(order["totals"])["items_discount"] == -125
    assert totals_add_up(order["totals"])
    assert api.send("GET", "/discounts/TEN").body["budgets"] == [
        {"of": "uses", "size": 1, "available": 0, "reserved": 0, "used": 1}
    ]
    api.services.stock.refresh(Pool("offer:TEN:uses:1", 1), clock())  # the stream's part
    refused = api.send("POST", f"/checkout-sessions/{second['id']}/complete", payment_body()).body
    assert_valid(CHECKOUT_WITH_DISCOUNT, refused)
    assert [one["code"] for one in refused["messages"]] == ["totals_changed", "discount_code_expired"]
    assert (refused["status"], amounts(refused["totals"])["total"]) == ("ready_for_complete", 1_645)


def test_operator_creates_changes_and_reads_a_discount(api: ApiClient) -> None:
    body = TEN | {"max_amount": {"amount": 500, **GBP}, "ends_at": "2027-01-01T00:00:00Z", "limit_per_buyer": 1}
    made = api.send("PUT", "/discounts/Save-10", body)
    assert (made.status, made.body["code"], made.body["max_amount"]) == (201, "SAVE-10", {"amount": 500, **GBP})
    assert made.body["ends_at"] == "2027-01-01T00:00:00.000Z"
    assert api.send("PUT", "/discounts/save-10", body).status == 200
    looked = api.send("GET", "/discounts/save-10")
    assert (looked.status, looked.body) == (200, made.body | {"budgets": []})
    assert api.send("GET", "/discounts/other").status == 404


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("$.unknown", {"unknown": 1}),
        ("$.percent_bps", {"percent_bps": 10_001}),
        ("$.percent_bps", {"percent_bps": "10"}),
        ("$.title", {"title": ""}),
        ("$.show_id", {"show_id": "nowhere"}),
        ("$.drop_ids[0]", {"drop_ids": [5]}),
        ("$.drop_ids", {"drop_ids": ["a"] * 101}),
        ("$.budget_uses", {"budget_uses": 0}),
        ("$.max_amount.currency", {"show_id": "s1", "max_amount": {"amount": 5, "currency": "EUR"}}),
        ("$.priority", {"priority": 0}),
        ("$.starts_at", {"starts_at": "tomorrow"}),
    ],
)
def test_wrong_discount_is_refused_with_its_field(api: ApiClient, field: str, changes: dict[str, Any]) -> None:
    api.an_open_drop()
    before = api.snapshot()
    answer = api.send("PUT", "/discounts/ten", TEN | changes)
    assert (answer.status, answer.body["field"]) == (400, field)
    assert api.snapshot() == before


def test_malformed_code_and_changed_budget_are_refused(api: ApiClient) -> None:
    assert api.send("PUT", "/discounts/-a", TEN).body["field"] == "code"
    assert api.send("PUT", f"/discounts/{'a' * 33}", TEN).status == 400
    put(api, budget_uses=5)
    before = api.snapshot()
    answer = api.send("PUT", "/discounts/ten", TEN | {"budget_uses": 6})
    assert (answer.status, answer.body["code"], answer.body["field"]) == (409, "fixed", "$.budget_uses")
    assert api.snapshot() == before


@pytest.mark.parametrize(
    ("field", "discounts"),
    [
        ("$.discounts", []),
        ("$.discounts.codes", {"codes": "TEN"}),
        ("$.discounts.codes[0]", {"codes": [5]}),
        ("$.discounts.codes[0]", {"codes": [""]}),
        ("$.discounts.codes[1]", {"codes": ["TEN", "x" * 65]}),
        ("$.discounts.codes", {"codes": ["TEN"] * 11}),
    ],
)
def test_malformed_codes_are_refused_with_their_field(api: ApiClient, field: str, discounts: object) -> None:
    api.an_open_drop()
    before = api.snapshot()
    for path in ("/carts", "/checkout-sessions"):
        answer = api.send("POST", path, express_checkout() | {"discounts": discounts})
        assert (answer.status, answer.body["field"]) == (400, field)
    assert api.snapshot() == before


def test_discount_fields_of_answers_are_ignored_in_requests(api: ApiClient) -> None:
    api.an_open_drop()
    body = express_checkout() | {"discounts": {"codes": ["a/b", "\N{SNOWMAN}"], "applied": 5}}
    made = api.send("POST", "/checkout-sessions", body)
    assert made.status == 201
    assert {one["code"] for one in made.body["messages"]} == {"discount_code_invalid"}
