"""The rules of the operator's PUT of a discount, without I/O: how it creates or changes one, and what is fixed."""

from __future__ import annotations

from typing import Any, Final

from chalicelib.discounts.model import usual_money_of
from chalicelib.discounts.records import DiscountRecord
from chalicelib.discounts.requests import AMOUNT_FIELDS, PutDiscountRequest
from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import Instant
from chalicelib.shows import Show
from chalicelib.stock import plan_sizes

_MAX_USES_OF_MONEY_BUDGET: Final = 1_000_000
"""Usual uses that a money budget has room for, as a drop has for units."""

_FIXED_FIELDS = ("show_id", "automatic", "budget_uses", "budget_amount")
_FIXED_WITH_MONEY_BUDGET = ("amount", "max_amount")


def check_consistency(request: PutDiscountRequest, show: Show | None) -> None:
    """Check that the fields of a request go together. ``show`` is the one of ``show_id``; None: there is none.

    Raises: ``BadInput`` naming the field.
    """
    if request.show_id is not None and show is None:
        raise _bad_field("show_id", f"must name a show. There is no show {request.show_id}", code="unknown_show")
    if (request.percent_bps is None) == (request.amount is None):
        raise _bad_field("percent_bps", "or `$.amount` must be present, and not both")
    if request.automatic and request.show_id is None:
        raise _bad_field("show_id", "must be present for an automatic discount")
    if request.starts_at is not None and request.ends_at is not None and request.ends_at <= request.starts_at:
        raise _bad_field("ends_at", "must be later than `$.starts_at`")
    if request.max_amount is not None and request.percent_bps is None:
        raise _bad_field("max_amount", "must be absent without `$.percent_bps`")
    _check_currency(request, show)
    _check_money_budget(request)


def _check_currency(request: PutDiscountRequest, show: Show | None) -> None:
    currency = show.currency if show else _currency_of(request)
    for name, price in request.amounts():
        if price.currency != currency:
            raise _bad_field(f"{name}.currency", f"must be {currency}, as for all amounts", code="currency")


def _check_money_budget(request: PutDiscountRequest) -> None:
    if request.budget_amount is None:
        return
    largest = request.amount or request.max_amount
    if largest is None:
        raise _bad_field("max_amount", "must be present for a percentage with a money budget")
    if request.budget_amount.amount < largest.amount:
        raise _bad_field("budget_amount.amount", f"must be at least {largest.amount}, the most that one use takes off")
    limit = _MAX_USES_OF_MONEY_BUDGET * usual_money_of(largest.amount)
    if request.budget_amount.amount > limit:
        raise _bad_field("budget_amount.amount", f"must be {limit} or less for this amount of one use")


def new_discount(code: str, request: PutDiscountRequest, actor: str, now: Instant) -> DiscountRecord:
    """Return the record of a new discount. With a budget it is a draft, until the budget's buckets exist."""
    fields = _fields_of(request)
    created = DiscountRecord(code=code, **fields, created_by=actor, created_at=now, changed_by=actor, changed_at=now)
    uses, money = created.budget_uses or 0, created.budget_amount or 0
    bucket_counts = {
        "uses_bucket_count": len(plan_sizes(uses, 1)) if uses else 0,
        "money_bucket_count": len(plan_sizes(money, created.usual_money)) if money else 0,
    }
    return created.model_copy(update=bucket_counts | {"draft": bool(uses or money)})


def changed_discount(record: DiscountRecord, request: PutDiscountRequest, actor: str, now: Instant) -> DiscountRecord:
    """Return the discount with the request's fields; the same record when nothing differs.

    Budgets are fixed. With a money budget, the amount of one use is fixed, too: the number of buckets follows from it.

    Raises: ``Conflict`` naming a field that is fixed.
    """
    changes = {name: value for name, value in _fields_of(request).items() if getattr(record, name) != value}
    fixed = (*_FIXED_FIELDS, *(_FIXED_WITH_MONEY_BUDGET if record.budget_amount is not None else ()))
    for name in fixed:
        if name in changes:
            detail = f"`$.{name}` cannot change after the discount was created. Put another code."
            raise Conflict(detail, field=f"$.{name}", code="fixed")
    return record.with_changes(changes, actor, now) if changes else record


def _fields_of(request: PutDiscountRequest) -> dict[str, Any]:
    amounts = dict.fromkeys(AMOUNT_FIELDS) | {name: price.amount for name, price in request.amounts()}
    others = request.model_dump(exclude=set(AMOUNT_FIELDS)) | {"drop_ids": tuple(dict.fromkeys(request.drop_ids))}
    return others | amounts | {"currency": _currency_of(request)}


def _currency_of(request: PutDiscountRequest) -> str | None:
    return next((price.currency for _, price in request.amounts()), None)


def _bad_field(name: str, reason: str, code: str | None = None) -> BadInput:
    return BadInput(f"`$.{name}` {reason}.", field=f"$.{name}", code=code)
