"""Operators read and replace the shop's markets."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from chalicelib.pricing import DEFAULT_MARKETS
from tests.api.conftest import ApiClient, express_checkout, payment_body, token
from tests.api.schemas import CHECKOUT, assert_valid


def a_table() -> Any:
    return DEFAULT_MARKETS.model_dump(mode="json")


def test_markets_are_listed_with_their_author(api: ApiClient) -> None:
    before = api.send("GET", "/markets")
    assert (before.status, before.body["revision"], before.body["put_by"]) == (200, 0, None)
    assert {name: before.body[name] for name in ("markets", "elsewhere")} == a_table()
    changed = a_table()
    changed["markets"][0]["standard_rate_bps"] = 2_100
    assert api.send("PUT", "/markets", changed).status == 201
    assert api.send("PUT", "/markets", changed).status == 200
    after = api.send("GET", "/markets").body
    assert (after["revision"], after["put_by"], after["markets"][0]["standard_rate_bps"]) == (1, "ada", 2_100)
    assert [one["revision"] for one in after["revisions"]] == [1]


def table_with(path: tuple[Any, ...], value: Any) -> Any:
    """Build the table of markets with one change."""
    table = copy.deepcopy(a_table())
    *way, last = path
    inner = table
    for part in way:
        inner = inner[part]
    inner[last] = value
    return table


OPTION = ("markets", 0, "shipping", 0)
WRONG: list[tuple[Any, str]] = [
    (table_with(("markets", 0, "countries"), ["GB", "UK"]), "$.markets[0].countries[1]"),
    (table_with(("markets", 0, "countries"), ["gb"]), "$.markets[0].countries[0]"),
    (table_with(("markets", 0, "standard_rate_bps"), 10_001), "$.markets[0].standard_rate_bps"),
    (table_with(("markets", 0, "standard_rate_bps"), -1), "$.markets[0].standard_rate_bps"),
    (table_with(("markets", 0, "standard_rate_bps"), "20"), "$.markets[0].standard_rate_bps"),
    (table_with(("markets", 0, "categories", "food"), 10_001), "$.markets[0].categories.food"),
    (table_with(("markets", 0, "tax_included"), 1), "$.markets[0].tax_included"),
    (table_with(("markets", 0, "shipping"), []), "$.markets[0].shipping"),
    (table_with((*OPTION, "price", "GBP"), -1), "$.markets[0].shipping[0].price.GBP"),
    (table_with((*OPTION, "price", "GBP"), 3.95), "$.markets[0].shipping[0].price.GBP"),
    (table_with((*OPTION, "price", "gbp"), 1), "$.markets[0].shipping[0].price.gbp"),
    (table_with((*OPTION, "price", "ZZZ"), 1), "$.markets[0].shipping[0].price.ZZZ"),
    (table_with((*OPTION, "price", "KWD"), 1_005), "$.markets[0].shipping[0].price.KWD"),
    (table_with((*OPTION, "price", "GBP"), 100_000_001), "$.markets[0].shipping[0].price.GBP"),
    (table_with((*OPTION, "free_from"), {"GBP": 100_000_001}), "$.markets[0].shipping[0].free_from.GBP"),
    (table_with((*OPTION, "price"), {}), "$.markets[0].shipping[0].price"),
    (table_with((*OPTION, "free_from"), {"GBP": -1}), "$.markets[0].shipping[0].free_from.GBP"),
    (table_with((*OPTION, "id"), "express"), "$.markets[0].shipping[1].id"),
    (table_with((*OPTION, "title"), " "), "$.markets[0].shipping[0].title"),
    (table_with(("markets", 1, "id"), "GB"), "$.markets[1].id"),
    (table_with(("markets", 1, "countries"), ["GB"]), "$.markets[1].countries[0]"),
    (table_with(("elsewhere",), None), "$.elsewhere"),
    (table_with(("more",), 1), "$.more"),
    ({}, "$.elsewhere"),
]


@pytest.mark.parametrize(("body", "field"), WRONG)
def test_wrong_markets_are_refused_with_their_field(api: ApiClient, body: Any, field: str) -> None:
    before = api.snapshot()
    answer = api.send("PUT", "/markets", body)
    assert (answer.status, answer.body["field"]) == (400, field), answer.text
    assert api.snapshot() == before


def test_markets_need_an_operator_token(api: ApiClient) -> None:
    for method in ("GET", "PUT"):
        assert api.send(method, "/markets", a_table(), authorization=None).status == 401
        assert api.send(method, "/markets", a_table(), authorization=f"Bearer {token('finance')}").status == 403


def put_option(api: ApiClient, **changes: Any) -> None:
    table = table_with(OPTION, {"id": "standard", "title": "Standard delivery", "price": {"GBP": 395}} | changes)
    assert api.send("PUT", "/markets", table).status == 201


def option_costs(body: Any) -> dict[str, int]:
    (group,) = body["fulfillment"]["methods"][0]["groups"]
    return {one["id"]: one["totals"][0]["amount"] for one in group["options"]}


def test_session_lists_shipping_costs_and_placed_order_only_its_own(api: ApiClient) -> None:
    put_option(api, free_from={"GBP": 2_500})
    api.an_open_drop()
    assert option_costs(api.send("POST", "/checkout-sessions", express_checkout()).body) == {
        "standard": 395,
        "express": 795,
    }
    two = api.send("POST", "/checkout-sessions", express_checkout(quantity=2)).body
    assert option_costs(two) == {"standard": 0, "express": 795}
    assert two["totals"][-1]["amount"] == 2_500
    api.send("POST", f"/checkout-sessions/{two['id']}/complete", payment_body())
    put_option(api, id="post", title="By post")
    placed = api.send("GET", f"/checkout-sessions/{two['id']}").body
    assert_valid(CHECKOUT, placed)
    assert (placed["status"], option_costs(placed)) == ("complete_in_progress", {"standard": 0})


def test_placed_order_keeps_its_tax_after_a_change_of_markets(api: ApiClient) -> None:
    api.an_open_drop()
    session = api.send("POST", "/checkout-sessions", express_checkout()).body
    api.send("POST", f"/checkout-sessions/{session['id']}/complete", payment_body())
    before = api.send("GET", f"/checkout-sessions/{session['id']}").body["totals"]
    api.send("PUT", "/markets", table_with(("markets", 0, "tax_included"), False))
    after = api.send("GET", f"/checkout-sessions/{session['id']}").body["totals"]
    assert before == after
    assert [one["display_text"] for one in after if one["type"] == "tax"] == ["Tax (included in prices)"]
