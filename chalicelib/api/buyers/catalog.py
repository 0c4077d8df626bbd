"""Drops as UCP products, with their price and availability."""

from __future__ import annotations

from chalicelib.api.buyers.ucp_responses import LOOKUP, envelope
from chalicelib.api.requests import Json
from chalicelib.instants import Instant, rfc3339
from chalicelib.shows import Drop, DropState, Offer, drop_state

_AVAILABILITY = {
    DropState.SCHEDULED: "not_open",
    DropState.OPEN: "in_stock",
    DropState.SUSPENDED: "suspended",
    DropState.SOLD_OUT: "out_of_stock",
    DropState.CLOSED: "closed",
}


def lookup_response(offers: dict[str, Offer | None], now: Instant) -> Json:
    """Return the answer to a lookup (``catalog_lookup.json#/$defs/lookup_response``). Messages name unknown ids."""
    unknown_ids = [identifier for identifier, offer in offers.items() if offer is None]
    return {
        "ucp": envelope(LOOKUP),
        "products": [_product(offer, now) for offer in offers.values() if offer],
        "messages": [{"type": "info", "code": "not_found", "content": identifier} for identifier in unknown_ids],
        "server_time": rfc3339(now),
    }


def _product(offer: Offer, now: Instant) -> Json:
    drop = offer.drop
    price = {"amount": drop.unit_price, "currency": drop.currency}
    shown: Json = {
        "id": drop.id,
        "title": drop.title,
        "description": {"plain": drop.title},
        "price_range": {"min": price, "max": price},
        "variants": [_variant(offer, price, now)],
        "metadata": _window(drop),
    }
    if drop.image_url:
        shown["media"] = [{"type": "image", "url": drop.image_url}]
    return shown


def _variant(offer: Offer, price: Json, now: Instant) -> Json:
    """Return the drop's only variant. Its list price comes from the price history; the shop cannot choose one."""
    drop, current_state = offer.drop, drop_state(offer.drop, offer.summary, now)
    available = current_state is DropState.OPEN and offer.summary.available > 0
    status = "out_of_stock" if current_state is DropState.OPEN and not available else _AVAILABILITY[current_state]
    shown: Json = {
        "id": drop.id,
        "sku": drop.sku,
        "title": drop.title,
        "description": {"plain": drop.title},
        "price": price,
        "availability": {"available": available, "status": status},
        "inputs": [{"id": drop.id, "match": "exact"}],
    }
    if drop.price_reduced_from is not None:
        shown["list_price"] = {"amount": drop.price_reduced_from, "currency": drop.currency}
    return shown


def _window(drop: Drop) -> Json:
    shown = {"show_id": drop.show_id}
    for name, instant in (("opens_at", drop.opens_at), ("closes_at", drop.closes_at)):
        if instant is not None:
            shown[name] = rfc3339(instant)
    return shown
