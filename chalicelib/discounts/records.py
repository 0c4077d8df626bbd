"""Discounts as they are kept: beside what is offered, who changed what."""

from __future__ import annotations

from typing import Any

from chalicelib.discounts.model import Discount
from chalicelib.instants import Instant


class DiscountRecord(Discount):
    """Every write raises ``revision`` and is refused unless it saw the one before."""

    revision: int = 1
    created_by: str
    created_at: Instant
    changed_by: str
    changed_at: Instant
    draft: bool = False
    """Its budgets are not all laid out yet: nobody is given it."""


_AUDIT_FIELDS = frozenset({"revision", "created_by", "created_at", "changed_by", "changed_at"})


def audit_changes(before: DiscountRecord | None, after: DiscountRecord) -> dict[str, Any]:
    """What a write changes, for its audit item: ``{field: {"from": …, "to": …}}``; absent ends are None."""
    was = {} if before is None else before.model_dump(exclude=set(_AUDIT_FIELDS))
    will_be = after.model_dump(exclude=set(_AUDIT_FIELDS))
    return {name: {"from": was.get(name), "to": value} for name, value in will_be.items() if was.get(name) != value}
