"""What operators and finance do: put shows and drops, change stock, give money back, ask for exports."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chalicelib.api import answers
from chalicelib.api.auth import idempotency_key, require_scope
from chalicelib.api.calls import ApiRequest, ApiResponse, Json, Route, fingerprint, validate_body
from chalicelib.api.ucp_views import order_id
from chalicelib.checkout import Purchase, Refund, RefundRequest, is_purchase_id
from chalicelib.errors import NotFound
from chalicelib.finance import ExportRun, parse_day
from chalicelib.instants import rfc3339
from chalicelib.shows import Drop, Id, PutDropRequest, PutShowRequest, Show, is_id

OPERATOR, FINANCE = "operator", "finance"
OPERATOR_ERRORS = (400, 401, 403, 409, 413, 415, 503)


class StrictModel(BaseModel):
    """A body of ours: every field is known, each of its exact type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ChangeStockRequest(StrictModel):
    """``POST /drops/{id}/stock``: units to add, or to take away where negative."""

    quantity: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class RefundLineRequest(StrictModel):
    line_item_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class CreateRefundRequest(StrictModel):
    """``POST /orders/{id}/refunds``: units of lines (and with ``shipping`` what is left of that), shipping alone, or an
    amount in minor units, which gives money back without units. ``restock`` is said wherever units are."""

    lines: Annotated[list[RefundLineRequest], Field(min_length=1, max_length=100)] | None = None
    amount: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    shipping: bool = False
    restock: bool | None = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> CreateRefundRequest:
        if self.amount is not None and (self.lines is not None or self.shipping or self.restock):
            raise ValueError("amount stands alone: it gives back neither units nor shipping by themselves")
        if self.amount is None and self.lines is None and not self.shipping:
            raise ValueError("lines, amount or shipping must say what to give back")
        if self.lines is not None and self.restock is None:
            raise ValueError("restock must say whether the units of lines go back into stock")
        if self.lines is None and self.restock:
            raise ValueError("restock is about units, and lines names none")
        return self


class EmptyBody(StrictModel):
    """A body without fields; it may be left out."""


class CreateExportRequest(StrictModel):
    """``POST /exports``: an interim export of a day or one show of it; with ``close`` the day is closed."""

    date: str
    show_id: Id | None = None
    close: bool = False


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


def refund_order(request: ApiRequest) -> ApiResponse:
    """Give back units of an order's lines, its shipping, or an amount."""
    actor, key, refund_body = (
        require_scope(request, OPERATOR),
        idempotency_key(request),
        validate_body(CreateRefundRequest, request.json()),
    )
    purchase_id = purchase_id_of_order(request)
    lines = tuple((line.line_item_id, line.quantity) for line in refund_body.lines or ())
    body_fingerprint = fingerprint("refund", purchase_id, refund_body.model_dump(exclude_defaults=True))
    refund_request = RefundRequest(
        key, body_fingerprint, lines, bool(refund_body.restock), actor, refund_body.amount, refund_body.shipping
    )
    return no_store_response(
        201, _refund_response(*request.services.checkout.refund(purchase_id, refund_request, request.now))
    )


def cancel_order(request: ApiRequest) -> ApiResponse:
    """Give back all that is left of an order, and put its units back into stock."""
    actor, key = require_scope(request, OPERATOR), idempotency_key(request)
    validate_body(EmptyBody, request.optional_json())
    purchase_id = purchase_id_of_order(request)
    refunded = request.services.checkout.cancel_order(
        purchase_id, key, fingerprint("cancel order", purchase_id), actor, request.now
    )
    return no_store_response(201, _refund_response(*refunded))


def request_export(request: ApiRequest) -> ApiResponse:
    """Ask for an export; a worker makes it."""
    actor, key = require_scope(request, FINANCE), idempotency_key(request)
    body = validate_body(CreateExportRequest, request.json())
    day, exports = parse_day(body.date, "$.date"), request.services.exports
    if body.show_id is not None and request.services.shows.show(body.show_id) is None:
        raise NotFound(f"There is no show {body.show_id}.", field="$.show_id", code="unknown_show")
    run = exports.request_export(day, body.show_id, key, actor, request.now, close=body.close)
    response = no_store_response(202, _export_response(run))
    response.headers["Location"] = f"{request.base_url}/exports/{run.date}"
    return response


def list_exports(request: ApiRequest) -> ApiResponse:
    """The exports of a day, latest first, each with its manifest once it is done."""
    exports = request.services.exports
    runs = exports.runs_of_day(parse_day(request.params["date"]))
    shown = [_export_response(run) | {"manifest": exports.manifest_of(run)} for run in runs]
    return no_store_response(200, {"date": request.params["date"], "exports": shown})


def no_store_response(status: int, body: Json) -> ApiResponse:
    return ApiResponse(status, body, {"Cache-Control": "no-store"})


def drop_id_in_path(request: ApiRequest) -> str:
    if not is_id(request.params["id"]):
        raise NotFound("There is no such drop.", field="id")
    return request.params["id"]


def purchase_id_of_order(request: ApiRequest) -> str:
    purchase_id = request.params["id"].removeprefix("ord_")
    if purchase_id == request.params["id"] or not is_purchase_id(purchase_id):
        raise NotFound("There is no such order.", field="id")
    return purchase_id


def with_rfc3339(record: Json, *names: str) -> Json:
    return record | {name: rfc3339(record[name]) for name in names if record.get(name) is not None}


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


def _refund_response(purchase: Purchase, order_refund: Refund) -> Json:
    lines: list[dict[str, Any]] = [
        {
            "line_item_id": part.line_id,
            "quantity": part.quantity,
            "goods": part.item_amount,
            "discount": part.discount,
            "tax": part.tax,
        }
        for part in order_refund.lines
    ]
    return {
        "order_id": order_id(purchase.id),
        "refund_id": order_refund.id,
        "status": "completed" if order_refund.completed_at is not None else "pending",
        "amount": {"amount": order_refund.amount, "currency": purchase.currency},
        "shipping": order_refund.shipping,
        "restock": order_refund.restock,
        "lines": lines,
    }


def _export_response(run: ExportRun) -> Json:
    shown = run.model_dump(mode="json")
    return with_rfc3339({"export_id": shown.pop("id")} | shown, "requested_at", "started_at", "finished_at")


ROUTES = (
    Route(
        "PUT",
        "/shows/{id}",
        put_show,
        "problem",
        "Make or change a show",
        (200, 201, *OPERATOR_ERRORS),
        PutShowRequest,
        OPERATOR,
        response_model=answers.Show,
    ),
    Route(
        "PUT",
        "/drops/{id}",
        put_drop,
        "problem",
        "Make or change a drop",
        (200, 201, *OPERATOR_ERRORS),
        PutDropRequest,
        OPERATOR,
        response_model=answers.Drop,
    ),
    Route(
        "POST",
        "/drops/{id}/stock",
        change_stock,
        "problem",
        "Add units",
        (201, 404, *OPERATOR_ERRORS),
        ChangeStockRequest,
        OPERATOR,
        requires_idempotency_key=True,
        response_model=answers.StockChangeResponse,
    ),
    Route(
        "POST",
        "/orders/{id}/refunds",
        refund_order,
        "problem",
        "Refund lines",
        (201, 404, *OPERATOR_ERRORS),
        CreateRefundRequest,
        OPERATOR,
        requires_idempotency_key=True,
        response_model=answers.Refund,
    ),
    Route(
        "POST",
        "/orders/{id}/cancellation",
        cancel_order,
        "problem",
        "Cancel an order",
        (201, 404, *OPERATOR_ERRORS),
        EmptyBody,
        OPERATOR,
        requires_idempotency_key=True,
        response_model=answers.Refund,
    ),
    Route(
        "POST",
        "/exports",
        request_export,
        "problem",
        "Ask for an export",
        (202, 404, *OPERATOR_ERRORS),
        CreateExportRequest,
        FINANCE,
        requires_idempotency_key=True,
        response_model=answers.Export,
    ),
    Route(
        "GET",
        "/exports/{date}",
        list_exports,
        "problem",
        "Exports of a day",
        (200, 400, 401, 403, 503),
        None,
        FINANCE,
        response_model=answers.ExportsOfDay,
    ),
)
