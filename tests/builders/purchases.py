"""Valid purchases and requests, with one argument for what a test is about."""

from __future__ import annotations

from typing import Any

from chalicelib.instants import Instant, parse_rfc3339
from chalicelib.purchase import (
    Buyer,
    Caller,
    CompleteRequest,
    Destination,
    Line,
    LineRequest,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    RefundRequest,
)

NOW: Instant = parse_rfc3339("2026-11-27T19:00:00Z")
PLATFORM = Caller("web", "own-site")
BUYER = Buyer(first_name="Ada", last_name="Byron", email="ada@example.com")
LONDON = Destination(
    street_address="12 St James's Square", address_locality="London", postal_code="SW1Y 4JH", address_country="GB"
)
NEW_YORK = Destination(street_address="5 Beekman Street", address_locality="New York", address_country="US")


def a_line(**changes: Any) -> Line:
    standard: dict[str, Any] = {
        "id": "li_1_1",
        "drop_id": "mug",
        "sku": "22423",
        "title": "Regency cakestand",
        "unit_price": 1_275,
        "quantity": 1,
        "bucket_count": 1,
        "price_until": NOW + 600_000,
        "max_hold_until": NOW // 1000 + 1_200,
    }
    return Line(**{**standard, **changes})


def a_purchase(**changes: Any) -> Purchase:
    standard: dict[str, Any] = {
        "id": "A" * 22,
        "version": 1,
        "state": PurchaseState.OPEN,
        "platform": "web",
        "currency": "GBP",
        "market": "GB",
        "created_at": NOW,
        "updated_at": NOW,
        "lines": (a_line(),),
        "buyer": BUYER,
        "destination": LONDON,
        "shipping_option": "standard",
    }
    return Purchase(**{**standard, **changes})


def a_purchase_request(*lines: tuple[str, int], key: str = "key-1", **changes: Any) -> PurchaseRequest:
    """Return a request for (drop, quantity) pairs, with buyer and destination and a fingerprint of its fields."""
    standard: dict[str, Any] = {
        "caller": PLATFORM,
        "key": key,
        "lines": tuple(LineRequest(drop_id, quantity) for drop_id, quantity in lines) if lines else None,
        "buyer": BUYER,
        "destination": LONDON,
    }
    fields = {**standard, **changes}
    return PurchaseRequest(**{"fingerprint": repr(sorted(fields.items(), key=lambda pair: pair[0])), **fields})


def a_complete_request(token: str = "ok", key: str = "pay-1") -> CompleteRequest:
    return CompleteRequest(PLATFORM, key, f"complete {token}", "sandbox", "instrument_1", "card", token)


def a_refund_request(*lines: tuple[str, int], key: str = "refund-1", restock: bool = False) -> RefundRequest:
    return RefundRequest(key=key, fingerprint=f"{lines} {restock}", lines=lines, restock=restock, actor="ann")
