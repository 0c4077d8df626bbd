"""Steps that tests of a purchase take again and again."""

from __future__ import annotations

from chalicelib import checkout
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutResult, NoPurchase, Purchase
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import ShopFixture


def message_codes(answer: CheckoutResult | NoPurchase) -> list[str]:
    return [message.code for message in answer.messages]


def complete_purchase(
    shop: ShopFixture, purchase: Purchase, key: str = "pay", now: Instant = NOW, token: str = "ok"
) -> CheckoutResult:
    """Complete a purchase that exists, with a sandbox token."""
    answer = checkout.complete_purchase(shop.context, purchase.id, a_complete_request(token, key), now)
    assert isinstance(answer, CheckoutResult)
    return answer
