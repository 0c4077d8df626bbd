"""Discounts as UCP's discount extension shows them. They are positive there, and negative in totals."""

from __future__ import annotations

from chalicelib.api.requests import Json
from chalicelib.discounts import AppliedDiscount
from chalicelib.purchase import Purchase


def discounts_object(purchase: Purchase) -> Json:
    """The codes as they were sent, and what applies (``discount.json#/$defs/discounts_object``)."""
    return {"codes": list(purchase.discount_codes), "applied": [_applied_discount(one) for one in purchase.discounts]}


def items_discount(amount: int) -> list[Json]:
    """Money taken off goods, as an entry of totals; none where there is no discount."""
    return [{"type": "items_discount", "amount": -amount, "display_text": "Discount"}] if amount else []


def _applied_discount(discount: AppliedDiscount) -> Json:
    parts = [{"path": f"$.line_items[{index}]", "amount": part} for index, part in enumerate(discount.parts) if part]
    shown: Json = {"title": discount.title, "amount": discount.amount, "automatic": discount.automatic}
    shown |= {"method": "across", "priority": discount.priority, "allocations": parts}
    return shown if discount.automatic else {"code": discount.code} | shown
