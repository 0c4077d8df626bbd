"""Public ids and the purchase ids in them."""

from __future__ import annotations

import pytest

from chalicelib.ids import (
    cart_id,
    checkout_id,
    order_id,
    order_ref,
    parse_cart_id,
    parse_checkout_id,
    parse_order_id,
)

PURCHASE_ID = "aB3_-" + "x" * 17


def test_public_id_parses_to_its_purchase_id() -> None:
    assert parse_cart_id(cart_id(PURCHASE_ID)) == PURCHASE_ID
    assert parse_checkout_id(checkout_id(PURCHASE_ID)) == PURCHASE_ID
    assert parse_order_id(order_id(PURCHASE_ID)) == PURCHASE_ID


@pytest.mark.parametrize(
    "text", [PURCHASE_ID, cart_id(PURCHASE_ID), "ord_", "ord_short", f"ord_{PURCHASE_ID}x", "ord_" + "é" * 22, ""]
)
def test_text_that_is_no_order_id_is_refused(text: str) -> None:
    assert parse_order_id(text) is None


def test_order_ref_is_the_first_nine_characters() -> None:
    assert order_ref("0123456789abcdefghijkl") == "012345678"
