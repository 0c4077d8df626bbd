"""Operators refund and cancel orders."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib import capture, refunds
from chalicelib.api.auth import OPERATOR, idempotency_key, require_scope
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    EmptyBody,
    Route,
    fingerprint,
    no_store_response,
    purchase_id_of_order,
    validate_body,
)
from chalicelib.api.responses import Money
from chalicelib.ids import order_id
from chalicelib.purchase import Purchase, PurchaseState, Refund, RefundRequest
from chalicelib.schema import StrictModel


class RefundLineRequest(StrictModel):
    """Units of one line to refund."""

    line_item_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class CreateRefundRequest(StrictModel):
    """``POST /orders/{id}/refunds``: units of lines, shipping, or an amount in minor units.

    ``lines`` may come with ``shipping``, which refunds what is left of it. ``amount`` refunds money without units.
    ``restock`` is required with ``lines``.
    """

    lines: Annotated[list[RefundLineRequest], Field(min_length=1, max_length=100)] | None = None
    amount: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    shipping: bool = False
    restock: bool | None = None

    @model_validator(mode="after")
    def _check_one_kind(self) -> CreateRefundRequest:
        if self.amount is not None and (self.lines is not None or self.shipping or self.restock):
            raise ValueError("`amount` must come alone, without `lines`, `shipping` or `restock`.")
        if self.amount is None and self.lines is None and not self.shipping:
            raise ValueError("One of `lines`, `amount` and `shipping` is required.")
        if self.lines is not None and self.restock is None:
            raise ValueError("`restock` is required with `lines`: true puts their units back into stock.")
        if self.lines is None and self.restock:
            raise ValueError("`restock` must come with `lines`, which name the units.")
        return self


class RefundLineResponse(TypedDict):
    """The part of a refund that belongs to one line, in units and minor units."""

    line_item_id: str
    quantity: int
    goods: int
    discount: int
    tax: int


class RefundResponse(TypedDict):
    """A refund; ``completed`` once the payment provider has confirmed it."""

    order_id: str
    refund_id: str
    status: Literal["completed", "pending"]
    amount: Money
    shipping: int
    restock: bool
    lines: list[RefundLineResponse]


class CancellationResponse(TypedDict):
    """A cancelled order.

    An order that was on hold is ``cancelled``: its payment is void, so that ``refund_id`` is null and ``amount`` is 0.
    A paid order stays ``paid``, with a refund of all that was left of it.
    """

    order_id: str
    state: PurchaseState
    refund_id: str | None
    status: Literal["completed", "pending"]
    amount: Money
    shipping: int
    restock: bool
    lines: list[RefundLineResponse]


def refund_order(request: ApiRequest) -> ApiResponse:
    """Refund units of an order's lines, its shipping, or an amount."""
    actor, key = require_scope(request, OPERATOR), idempotency_key(request)
    body = validate_body(CreateRefundRequest, request.json())
    purchase_id = purchase_id_of_order(request)
    refund_request = RefundRequest(
        key=key,
        fingerprint=fingerprint("refund", purchase_id, body.model_dump(exclude_defaults=True)),
        lines=tuple((line.line_item_id, line.quantity) for line in body.lines or ()),
        restock=bool(body.restock),
        actor=actor,
        amount=body.amount,
        shipping=body.shipping,
    )
    purchase, refund = refunds.refund_order(request.services.context, purchase_id, refund_request, request.now)
    return no_store_response(201, _refund_response(purchase, refund))


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


def _refund_response(purchase: Purchase, refund: Refund) -> RefundResponse:
    return {
        "order_id": order_id(purchase.id),
        "refund_id": refund.id,
        "status": "completed" if refund.completed_at is not None else "pending",
        "amount": {"amount": refund.amount, "currency": purchase.currency},
        "shipping": refund.shipping,
        "restock": refund.restock,
        "lines": [
            {
                "line_item_id": part.line_id,
                "quantity": part.quantity,
                "goods": part.item_amount,
                "discount": part.discount,
                "tax": part.tax,
            }
            for part in refund.lines
        ],
    }


def _cancellation_response(purchase: Purchase, refund: Refund | None) -> CancellationResponse:
    if refund is not None:
        return {**_refund_response(purchase, refund), "state": purchase.state}
    return {
        "order_id": order_id(purchase.id),
        "state": purchase.state,
        "refund_id": None,
        "status": "completed",
        "amount": {"amount": 0, "currency": purchase.currency},
        "shipping": 0,
        "restock": True,
        "lines": [],
    }


ROUTES = (
    Route(
        "POST",
        "/orders/{id}/refunds",
        refund_order,
        "Refund lines, shipping or an amount of an order",
        (201, 404, *OPERATOR_ERRORS),
        request_model=CreateRefundRequest,
        scope=OPERATOR,
        requires_idempotency_key=True,
        response_model=RefundResponse,
    ),
    Route(
        "POST",
        "/orders/{id}/cancellation",
        cancel_order,
        "Cancel an order: void or refund its payment",
        (201, 404, *OPERATOR_ERRORS),
        request_model=EmptyBody,
        scope=OPERATOR,
        requires_idempotency_key=True,
        response_model=CancellationResponse,
    ),
)
