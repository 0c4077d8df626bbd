"""Rules for putting a discount: what may be created and what may change."""

from __future__ import annotations

from typing import Any, Final

from chalicelib.discounts.records import DiscountRecord
from chalicelib.discounts.requests import PutDiscountRequest
from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import Instant
from chalicelib.schema import Price
from chalicelib.shows import Show
from chalicelib.stock import plan_sizes

_MAX_USES_OF_MONEY_BUDGET: Final = 1_000_000
"""A money budget has room for so many uses that take a quarter of the most, as a drop has for units."""

_FIXED_FIELDS = ("show_id", "automatic", "budget_uses", "budget_amount")
_FIXED_WITH_MONEY_BUDGET = ("amount", "max_amount")


_AMOUNT_FIELDS = ("amount", "max_amount", "minimum_subtotal", "budget_amount")


def check_consistency(request: PutDiscountRequest, show: Show | None) -> None:
    """``BadInput`` naming what does not go together. ``show`` is the one that the wish names; None: there is none."""
    if request.show_id is not None and show is None:
        raise _bad_field("show_id", f"no show {request.show_id}", code="unknown_show")
    if (request.percent_bps is None) == (request.amount is None):
        raise _bad_field("percent_bps", "one of percent_bps and amount is needed, not both")
    if request.automatic and request.show_id is None:
        raise _bad_field("show_id", "an automatic offer needs the show that it is for")
    if request.starts_at is not None and request.ends_at is not None and request.ends_at <= request.starts_at:
        raise _bad_field("ends_at", "must be later than starts_at")
    if request.max_amount is not None and request.percent_bps is None:
        raise _bad_field("max_amount", "bounds a percentage; amount is fixed already")
    _check_currency(request, show)
    _check_money_budget(request)


def _check_currency(request: PutDiscountRequest, show: Show | None) -> None:
    currency = show.currency if show else _currency_of(request)
    for name in _AMOUNT_FIELDS:
        price: Price | None = getattr(request, name)
        if price is not None and price.currency != currency:
            raise _bad_field(f"{name}.currency", f"all amounts are in {currency}", code="currency")


def _check_money_budget(request: PutDiscountRequest) -> None:
    if request.budget_amount is None:
        return
    largest = request.amount or request.max_amount
    if largest is None:
        raise _bad_field("max_amount", "a percentage with a money budget needs the most that one order may take off")
    if request.budget_amount.amount < largest.amount:
        raise _bad_field("budget_amount.amount", "is less than one use may take off")
    if request.budget_amount.amount > _MAX_USES_OF_MONEY_BUDGET * -(-largest.amount // 4):
        raise _bad_field(
            "budget_amount.amount", f"is more than {_MAX_USES_OF_MONEY_BUDGET // 4} times what one use may take off"
        )


def new_discount(code: str, request: PutDiscountRequest, actor: str, now: Instant) -> DiscountRecord:
    """The record of a new discount. One with a budget is a draft until that is laid out: nobody is given it before."""
    about = _fields_of(request)
    created = DiscountRecord(code=code, **about, created_by=actor, created_at=now, changed_by=actor, changed_at=now)
    uses, money = created.budget_uses or 0, created.budget_amount or 0
    bucket_counts = {
        "uses_bucket_count": len(plan_sizes(uses, 1)) if uses else 0,
        "money_bucket_count": len(plan_sizes(money, created.usual_money)) if money else 0,
    }
    return created.model_copy(update=bucket_counts | {"draft": bool(uses or money)})


def changed_discount(record: DiscountRecord, request: PutDiscountRequest, actor: str, now: Instant) -> DiscountRecord:
    """The discount as the body wants it; the same record when that is how it is. ``Conflict`` names what is fixed.

    Budgets are fixed, and with a money budget what one use may take of it: more is another code's.
    """
    changes = {name: value for name, value in _fields_of(request).items() if getattr(record, name) != value}
    fixed = (*_FIXED_FIELDS, *(_FIXED_WITH_MONEY_BUDGET if record.budget_amount is not None else ()))
    for name in fixed:
        if name in changes:
            detail = f"$.{name}: fixed when the discount was made; put another code"
            raise Conflict(detail, field=f"$.{name}", code="fixed")
    stamp = {"revision": record.revision + 1, "changed_by": actor, "changed_at": now}
    return record.model_copy(update=changes | stamp) if changes else record


def _fields_of(request: PutDiscountRequest) -> dict[str, Any]:
    amounts = {name: price.amount if (price := getattr(request, name)) is not None else None for name in _AMOUNT_FIELDS}
    about = request.model_dump(exclude=set(_AMOUNT_FIELDS)) | {"drop_ids": tuple(dict.fromkeys(request.drop_ids))}
    return about | amounts | {"currency": _currency_of(request)}


def _currency_of(request: PutDiscountRequest) -> str | None:
    prices: list[Price | None] = [getattr(request, name) for name in _AMOUNT_FIELDS]
    return next((price.currency for price in prices if price is not None), None)


def _bad_field(name: str, reason: str, code: str | None = None) -> BadInput:
    return BadInput(f"$.{name}: {reason}", field=f"$.{name}", code=code)
