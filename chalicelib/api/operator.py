"""What operators and finance do: put shows and drops, change stock, give money back, ask for exports."""

from __future__ import annotations

from chalicelib.api import responses
from chalicelib.api.auth import FINANCE, OPERATOR
from chalicelib.api.operators.exports import CreateExportRequest, list_exports, request_export
from chalicelib.api.operators.orders import CreateRefundRequest, cancel_order, refund_order
from chalicelib.api.operators.shows_and_drops import ChangeStockRequest, change_stock, put_drop, put_show
from chalicelib.api.requests import OPERATOR_ERRORS, EmptyBody, Route
from chalicelib.shows import PutDropRequest, PutShowRequest

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
        response_model=responses.Show,
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
        response_model=responses.Drop,
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
        response_model=responses.StockChangeResponse,
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
        response_model=responses.Refund,
    ),
    Route(
        "POST",
        "/orders/{id}/cancellation",
        cancel_order,
        "problem",
        "Cancel an order: void or refund its payment",
        (201, 404, *OPERATOR_ERRORS),
        EmptyBody,
        OPERATOR,
        requires_idempotency_key=True,
        response_model=responses.Cancellation,
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
        response_model=responses.Export,
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
        response_model=responses.ExportsOfDay,
    ),
)
