from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import ApiClient
from tests.api.test_webhooks import place_paid_order

REFUNDS = [
    ({}, "$"),
    ({"amount": 0}, "$.amount"),
    ({"amount": 1.5}, "$.amount"),
    ({"amount": 100, "restock": True}, "$"),
    ({"amount": 100, "shipping": True}, "$"),
    ({"shipping": True, "restock": True}, "$"),
    ({"lines": [{"line_item_id": "li_1", "quantity": 1}]}, "$"),
    ({"amount": 999_999}, "$.amount"),
]


@pytest.mark.parametrize(("body", "field"), REFUNDS)
def test_invalid_refund_is_refused_with_its_field(api: ApiClient, body: dict[str, Any], field: str) -> None:
    order = place_paid_order(api)
    before = api.snapshot()
    answer = api.send("POST", f"/orders/{order}/refunds", body)
    assert (answer.status, answer.body["field"]) == (400, field)
    assert api.snapshot() == before


def test_amount_and_shipping_are_refunded_without_units(api: ApiClient) -> None:
    order = place_paid_order(api)
    first = api.send("POST", f"/orders/{order}/refunds", {"amount": 164}).body
    assert (first["amount"]["amount"], first["lines"][0]["quantity"]) == (164, 0)
    rest = api.send("POST", f"/orders/{order}/refunds", {"shipping": True}).body
    assert (rest["amount"]["amount"], rest["lines"]) == (395 - first["shipping"], [])
