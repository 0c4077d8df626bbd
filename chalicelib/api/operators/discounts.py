"""What operators do with discounts: put a code or an automatic offer, and look what is left of its budgets."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api import responses
from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.requests import OPERATOR_ERRORS, ApiRequest, ApiResponse, Json, Route, no_store_response
from chalicelib.discounts import BudgetState, Discount, PutDiscountRequest
from chalicelib.errors import NotFound
from chalicelib.instants import rfc3339

_MONEY_FIELDS = ("amount", "max_amount", "minimum_subtotal", "budget_amount")
_TIME_FIELDS = ("starts_at", "ends_at")
_INTERNAL_FIELDS = {"uses_bucket_count", "money_bucket_count"}


class Budget(TypedDict):
    """A discount's budget: ``size`` is what was put up, ``reserved`` for orders being placed. Uses, or minor units."""

    of: Literal["uses", "money"]
    size: int
    available: int
    reserved: int
    used: int


class DiscountResponse(TypedDict):
    """A code or an automatic offer. ``currency`` is that of all its amounts; null where it has none."""

    code: str
    title: str
    show_id: str | None
    drop_ids: list[str]
    automatic: bool
    percent_bps: int | None
    amount: responses.Money | None
    max_amount: responses.Money | None
    minimum_subtotal: responses.Money | None
    currency: str | None
    starts_at: responses.Time | None
    ends_at: responses.Time | None
    limit_per_buyer: int | None
    budget_uses: int | None
    budget_amount: responses.Money | None
    priority: int
    combinable: bool


class DiscountWithBudgets(DiscountResponse):
    """What is left of its budgets, by strong reads."""

    budgets: list[Budget]


def put_discount(request: ApiRequest) -> ApiResponse:
    """Make or change a discount. Its budgets are fixed when it is made."""
    actor, body = require_scope(request, OPERATOR), PutDiscountRequest.from_body(request.json())
    show = None if body.show_id is None else request.services.shows.show(body.show_id)
    discounts = request.services.context.discounts
    discount, created = discounts.put(request.params["code"], body, show, actor, request.now)
    return no_store_response(201 if created else 200, _discount_response(discount))


def get_discount(request: ApiRequest) -> ApiResponse:
    """A discount, and what is left of its budgets."""
    require_scope(request, OPERATOR)
    found = request.services.context.discounts.get_with_budgets(request.params["code"], request.now)
    if found is None:
        raise NotFound("There is no such discount.", field="code")
    discount, budgets = found
    return no_store_response(
        200, _discount_response(discount) | {"budgets": [_budget_response(one) for one in budgets]}
    )


def _discount_response(discount: Discount) -> Json:
    shown = discount.model_dump(include=set(Discount.model_fields) - _INTERNAL_FIELDS, mode="json")
    for name in _MONEY_FIELDS:
        if shown[name] is not None:
            shown[name] = {"amount": shown[name], "currency": discount.currency}
    return shown | {name: rfc3339(shown[name]) for name in _TIME_FIELDS if shown[name] is not None}


def _budget_response(state: BudgetState) -> Json:
    figures = {"size": state.size, "available": state.available, "reserved": state.reserved, "used": state.used}
    return {"of": "money" if state.is_money else "uses"} | figures


ROUTES = (
    Route(
        "PUT",
        "/discounts/{code}",
        put_discount,
        "problem",
        "Make or change a discount",
        (200, 201, *OPERATOR_ERRORS),
        PutDiscountRequest,
        OPERATOR,
        response_model=DiscountResponse,
    ),
    Route(
        "GET",
        "/discounts/{code}",
        get_discount,
        "problem",
        "Get a discount and its budgets",
        (200, 401, 403, 404, 503),
        None,
        OPERATOR,
        response_model=DiscountWithBudgets,
    ),
)
