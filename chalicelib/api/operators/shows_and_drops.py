"""Operators put shows and drops, and change stock."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, idempotency_key, require_scope
from chalicelib.api.operators.provider_currencies import check_currency
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    Route,
    drop_id_in_path,
    no_store_response,
    validate_body,
)
from chalicelib.api.responses import Money, Time, time_or_none
from chalicelib.api.shows import ShowResponse, show_response
from chalicelib.schema import StrictModel
from chalicelib.shows import Drop, PutDropRequest, PutShowRequest


class ChangeStockRequest(StrictModel):
    """``POST /drops/{id}/stock``: units to add; a negative number takes units away."""

    quantity: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class DropResponse(TypedDict):
    """A drop as its operators see it."""

    drop_id: str
    show_id: str
    sku: str
    title: str
    unit_price: Money
    stock: int
    usual_quantity: int
    hold_seconds: int
    max_quantity: int | None
    limit_per_buyer: int | None
    opens_at: Time | None
    closes_at: Time | None
    suspended: bool
    image_url: str | None
    creator_id: str | None
    commission_bps: int
    tax_category: str | None
    market: str | None
    earlier_price: int | None


class StockChangeResponse(TypedDict):
    """A change of stock: the units that the request adds or takes away, those that moved, and the drop's new stock."""

    drop_id: str
    quantity: int
    moved: int
    stock: int


def put_show(request: ApiRequest) -> ApiResponse:
    """Create or change a show."""
    actor, body = require_scope(request, OPERATOR), PutShowRequest.from_body(request.json())
    check_currency(request, body.currency, "$.currency")
    show, created = request.services.shows.put_show(request.params["id"], body, actor, request.now)
    return no_store_response(201 if created else 200, show_response(show))


def put_drop(request: ApiRequest) -> ApiResponse:
    """Create or change a drop."""
    actor, body = require_scope(request, OPERATOR), PutDropRequest.from_body(request.json())
    check_currency(request, body.unit_price.currency, "$.unit_price.currency")
    drop, created = request.services.shows.put_drop(request.params["id"], body, actor, request.now)
    return no_store_response(201 if created else 200, _drop_response(drop))


def change_stock(request: ApiRequest) -> ApiResponse:
    """Add units to a drop, or take away units that are neither held nor sold. Each idempotency key counts once."""
    actor, key = require_scope(request, OPERATOR), idempotency_key(request)
    body = validate_body(ChangeStockRequest, request.json())
    change = request.services.shows.adjust_stock(drop_id_in_path(request), body.quantity, key, actor, request.now)
    response: StockChangeResponse = {
        "drop_id": change.drop.id,
        "quantity": change.quantity,
        "moved": change.moved,
        "stock": change.drop.stock,
    }
    return no_store_response(201, response)


def _drop_response(drop: Drop) -> DropResponse:
    return {
        "drop_id": drop.id,
        "show_id": drop.show_id,
        "sku": drop.sku,
        "title": drop.title,
        "unit_price": {"amount": drop.unit_price, "currency": drop.currency},
        "stock": drop.stock,
        "usual_quantity": drop.usual_quantity,
        "hold_seconds": drop.hold_seconds,
        "max_quantity": drop.max_quantity,
        "limit_per_buyer": drop.limit_per_buyer,
        "opens_at": time_or_none(drop.opens_at),
        "closes_at": time_or_none(drop.closes_at),
        "suspended": drop.suspended,
        "image_url": drop.image_url,
        "creator_id": drop.creator_id,
        "commission_bps": drop.commission_bps,
        "tax_category": drop.tax_category,
        "market": drop.market,
        "earlier_price": drop.earlier_price,
    }


ROUTES = (
    Route(
        "PUT",
        "/shows/{id}",
        put_show,
        "Create or change a show",
        (200, 201, *OPERATOR_ERRORS),
        request_model=PutShowRequest,
        scope=OPERATOR,
        response_model=ShowResponse,
    ),
    Route(
        "PUT",
        "/drops/{id}",
        put_drop,
        "Create or change a drop",
        (200, 201, *OPERATOR_ERRORS),
        request_model=PutDropRequest,
        scope=OPERATOR,
        response_model=DropResponse,
    ),
    Route(
        "POST",
        "/drops/{id}/stock",
        change_stock,
        "Add units to a drop, or take units away",
        (201, 404, *OPERATOR_ERRORS),
        request_model=ChangeStockRequest,
        scope=OPERATOR,
        requires_idempotency_key=True,
        response_model=StockChangeResponse,
    ),
)
