"""Operators put discounts, and read what is left of their budgets."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.operators.provider_currencies import check_currency
from chalicelib.api.requests import OPERATOR_ERRORS, ApiRequest, ApiResponse, Route, no_store_response
from chalicelib.api.responses import Money, Time, time_or_none
from chalicelib.discounts import BudgetState, Discount, PutDiscountRequest
from chalicelib.errors import NotFound


class BudgetResponse(TypedDict):
    """A discount's budget, in uses or in minor units. Orders that are being paid have the ``reserved`` part."""

    of: Literal["uses", "money"]
    size: int
    available: int
    reserved: int
    used: int


class DiscountResponse(TypedDict):
    """A code or an automatic offer. ``currency`` is that of all its amounts; null without amounts."""

    code: str
    title: str
    show_id: str | None
    drop_ids: list[str]
    automatic: bool
    percent_bps: int | None
    amount: Money | None
    max_amount: Money | None
    minimum_subtotal: Money | None
    currency: str | None
    starts_at: Time | None
    ends_at: Time | None
    limit_per_buyer: int | None
    budget_uses: int | None
    budget_amount: Money | None
    priority: int
    combinable: bool


class DiscountWithBudgets(DiscountResponse):
    """A discount with what is left of its budgets, by strong reads."""

    budgets: list[BudgetResponse]


def put_discount(request: ApiRequest) -> ApiResponse:
    """Create or change a discount. Its budgets are fixed once it is created."""
    actor, body = require_scope(request, OPERATOR), PutDiscountRequest.from_body(request.json())
    for name, price in body.amounts():
        check_currency(request, price.currency, f"$.{name}.currency")
    show = None if body.show_id is None else request.services.shows.show(body.show_id)
    discounts = request.services.context.discounts
    discount, created = discounts.put(request.params["code"], body, show, actor, request.now)
    return no_store_response(201 if created else 200, _discount_response(discount))


def get_discount(request: ApiRequest) -> ApiResponse:
    """Get a discount, and what is left of its budgets."""
    require_scope(request, OPERATOR)
    found = request.services.context.discounts.get_with_budgets(request.params["code"], request.now)
    if found is None:
        raise NotFound("No discount has this code.", field="code")
    discount, budgets = found
    body: DiscountWithBudgets = {
        **_discount_response(discount),
        "budgets": [_budget_response(budget) for budget in budgets],
    }
    return no_store_response(200, body)


def _discount_response(discount: Discount) -> DiscountResponse:
    def money(amount: int | None) -> Money | None:
        if amount is None or discount.currency is None:
            return None
        return {"amount": amount, "currency": discount.currency}

    return {
        "code": discount.code,
        "title": discount.title,
        "show_id": discount.show_id,
        "drop_ids": list(discount.drop_ids),
        "automatic": discount.automatic,
        "percent_bps": discount.percent_bps,
        "amount": money(discount.amount),
        "max_amount": money(discount.max_amount),
        "minimum_subtotal": money(discount.minimum_subtotal),
        "currency": discount.currency,
        "starts_at": time_or_none(discount.starts_at),
        "ends_at": time_or_none(discount.ends_at),
        "limit_per_buyer": discount.limit_per_buyer,
        "budget_uses": discount.budget_uses,
        "budget_amount": money(discount.budget_amount),
        "priority": discount.priority,
        "combinable": discount.combinable,
    }


def _budget_response(budget: BudgetState) -> BudgetResponse:
    return {
        "of": "money" if budget.is_money else "uses",
        "size": budget.size,
        "available": budget.available,
        "reserved": budget.reserved,
        "used": budget.used,
    }


ROUTES = (
    Route(
        "PUT",
        "/discounts/{code}",
        put_discount,
        "Create or change a discount",
        (200, 201, *OPERATOR_ERRORS),
        request_model=PutDiscountRequest,
        scope=OPERATOR,
        response_model=DiscountResponse,
    ),
    Route(
        "GET",
        "/discounts/{code}",
        get_discount,
        "Get a discount and its budgets",
        (200, 401, 403, 404, 503),
        scope=OPERATOR,
        response_model=DiscountWithBudgets,
    ),
)
