"""Operators refund and cancel orders."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from chalicelib import capture, refunds
from chalicelib.api.auth import OPERATOR, idempotency_key, require_scope
from chalicelib.api.requests import (
    ApiRequest,
    ApiResponse,
    EmptyBody,
    Json,
    StrictModel,
    fingerprint,
    no_store_response,
    purchase_id_of_order,
    validate_body,
)
from chalicelib.ids import order_id
from chalicelib.purchase import Purchase, Refund, RefundRequest


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
        201, _refund_response(*refunds.refund_order(request.services.context, purchase_id, refund_request, request.now))
    )


def cancel_order(request: ApiRequest) -> ApiResponse:
    """Cancel an order: void the payment of an order on hold, or refund all that is left of a paid one.

    Its units go back into stock. A repeated request gets the same answer.
    """
    actor, key = require_scope(request, OPERATOR), idempotency_key(request)
    validate_body(EmptyBody, request.optional_json())
    purchase_id = purchase_id_of_order(request)
    purchase, refund = capture.cancel_order(
        request.services.context, purchase_id, key, fingerprint("cancel order", purchase_id), actor, request.now
    )
    return no_store_response(201, _cancellation_response(purchase, refund))


def _cancellation_response(purchase: Purchase, refund: Refund | None) -> Json:
    state: Json = {"state": purchase.state.value}
    if refund is not None:
        return _refund_response(purchase, refund) | state
    nothing_captured = {"amount": 0, "currency": purchase.currency}
    return state | {
        "order_id": order_id(purchase.id),
        "refund_id": None,
        "status": "completed",
        "amount": nothing_captured,
        "shipping": 0,
        "restock": True,
        "lines": [],
    }


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
