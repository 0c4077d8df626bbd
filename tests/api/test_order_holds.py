from __future__ import annotations

from tests.api.conftest import ApiClient
from tests.api.test_responses import place_order


def test_operator_puts_orders_on_hold_and_releases_one(api: ApiClient) -> None:
    api.an_open_drop()
    order = place_order(api)
    for _ in range(2):
        held = api.send("POST", f"/orders/{order}/hold")
        assert (held.status, held.body["state"], held.body["held_by"]) == (200, "held", "ada")
        assert held.body["provider"] == {
            "state": "nothing",
            "amount": {"amount": 0, "currency": "GBP"},
            "refunded": 0,
            "content": "The payment provider has reserved nothing.",
        }
    for _ in range(2):
        released = api.send("POST", f"/orders/{order}/release")
        assert (released.status, released.body["state"], released.body["released_by"]) == (200, "placed", "ada")
    assert api.send("POST", f"/orders/{order}/hold", {"more": 1}).body["field"] == "$.more"
