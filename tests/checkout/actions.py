"""Steps that tests of a purchase take again and again."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import checkout
from chalicelib.aws import from_item
from chalicelib.capture import process_attempt
from chalicelib.ids import buyer_hash
from chalicelib.instants import Instant
from chalicelib.purchase import (
    Buyer,
    CheckoutResult,
    Destination,
    NoPurchase,
    Purchase,
    PurchaseState,
)
from tests.builders.context import ID_KEY
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import (
    SHOP_CURRENCY,
    ShopFixture,
)


def money(amount: int) -> dict[str, Any]:
    """Return an amount of minor units in the currency of the tests' shop, as request bodies have it."""
    return {"amount": amount, "currency": SHOP_CURRENCY}


def message_codes(answer: CheckoutResult | NoPurchase) -> list[str]:
    return [message.code for message in answer.messages]


def complete_purchase(
    shop: ShopFixture, purchase: Purchase, key: str = "pay", now: Instant = NOW, token: str = "ok"
) -> CheckoutResult:
    """Complete a purchase that exists, with a sandbox token."""
    answer = checkout.complete_purchase(shop.context, purchase.id, a_complete_request(token, key), now)
    assert isinstance(answer, CheckoutResult)
    return answer


def another_buyer(number: int) -> dict[str, Any]:
    """Return fields of another person at another address."""
    place = Destination(street_address=f"{number} High Street", postal_code="LS1", address_country="GB")
    return {"buyer": Buyer(email=f"buyer-{number}@example.com"), "destination": place}


def attempt_payment(shop: ShopFixture, key: str, token: str = "declined", now: Instant = NOW, **who: Any) -> Purchase:
    """Create and complete a purchase, and process its attempt."""
    purchase = shop.open_purchase(("mug", 1), key=key, now=now, **who)
    answer = complete_purchase(shop, purchase, f"pay-{key}", now, token)
    assert answer.purchase.state is PurchaseState.PLACED, message_codes(answer)
    process_attempt(shop.context, purchase.id, answer.purchase.attempt, now)
    return shop.read(purchase.id)


def complete_new_purchase(
    shop: ShopFixture, key: str, token: str = "ok", now: Instant = NOW, **who: Any
) -> CheckoutResult:
    """Create and complete a purchase of one mug."""
    purchase = shop.open_purchase(("mug", 1), key=key, now=now, **who)
    return complete_purchase(shop, purchase, f"pay-{key}", now, token)


def open_with_codes(shop: ShopFixture, *codes: str, key: str = "key-1", now: Instant = NOW, **changes: Any) -> Purchase:
    """Create a purchase of one mug of 1,275 with these codes."""
    return shop.open_purchase(("mug", 1), key=key, now=now, discount_codes=codes, **changes)


def may_still_have(answer: CheckoutResult) -> int:
    """Return the units that the refusal says the buyer may still have."""
    assert message_codes(answer)[0] == "limit_exceeded"
    left: int = answer.messages[0].extra["may_still_have"]
    return left


def limit_item(shop: ShopFixture, drop_id: str = "mug", email: str = "ada@example.com") -> dict[str, Any]:
    """Read the buyer's limit usage: the sum, and units by purchase."""
    key = {"pk": {"S": f"LIMIT#{buyer_hash(ID_KEY, email)}"}, "sk": {"S": f"DROP#{drop_id}"}}
    item = from_item(shop.tables.dynamodb.get_item(TableName=shop.tables.commerce, Key=key)["Item"])
    assert item["units"] == sum(entry["q"] for entry in item["entries"].values())
    return item


def die_before_placing(
    shop: ShopFixture, purchase: Purchase, monkeypatch: pytest.MonkeyPatch, now: Instant = NOW
) -> None:
    """Complete in a process that dies after it has counted the units."""

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(type(shop.context.purchases), "replace", die)
        with pytest.raises(SystemExit):
            complete_purchase(shop, purchase, "pay-dying", now)
