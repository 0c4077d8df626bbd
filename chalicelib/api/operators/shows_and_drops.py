"""Operators put shows and drops, and change stock."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chalicelib.api.auth import OPERATOR, idempotency_key, require_scope
from chalicelib.api.requests import (
    ApiRequest,
    ApiResponse,
    Json,
    StrictModel,
    drop_id_in_path,
    no_store_response,
    validate_body,
)
from chalicelib.api.responses import with_rfc3339
from chalicelib.shows import Drop, PutDropRequest, PutShowRequest, Show


class ChangeStockRequest(StrictModel):
    """``POST /drops/{id}/stock``: units to add, or to take away where negative."""

    quantity: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


def put_show(request: ApiRequest) -> ApiResponse:
    """Make or change a show."""
    actor, body = require_scope(request, OPERATOR), PutShowRequest.from_body(request.json())
    show, created = request.services.shows.put_show(request.params["id"], body, actor, request.now)
    return no_store_response(201 if created else 200, _show_response(show))


def put_drop(request: ApiRequest) -> ApiResponse:
    """Make or change a drop."""
    actor, body = require_scope(request, OPERATOR), PutDropRequest.from_body(request.json())
    drop, created = request.services.shows.put_drop(request.params["id"], body, actor, request.now)
    return no_store_response(201 if created else 200, _drop_response(drop))


def change_stock(request: ApiRequest) -> ApiResponse:
    """Add units to a drop, or take away what nobody holds or bought, once for an idempotency key."""
    actor, key = require_scope(request, OPERATOR), idempotency_key(request)
    body = validate_body(ChangeStockRequest, request.json())
    change = request.services.shows.adjust_stock(drop_id_in_path(request), body.quantity, key, actor, request.now)
    answer = {"drop_id": change.drop.id, "quantity": change.quantity, "moved": change.moved, "stock": change.drop.stock}
    return no_store_response(201, answer)


def _show_response(show: Show) -> Json:
    return with_rfc3339(
        {"show_id": show.id} | show.model_dump(include=set(Show.model_fields) - {"id"}),
        "starts_at",
        "started_at",
        "ended_at",
    )


def _drop_response(drop: Drop) -> Json:
    inner = {"id", "bucket_count", "unit_price", "currency"}
    shown = drop.model_dump(include=set(Drop.model_fields) - inner)
    price = {"amount": drop.unit_price, "currency": drop.currency}
    return with_rfc3339({"drop_id": drop.id, "unit_price": price} | shown, "opens_at", "closes_at")
