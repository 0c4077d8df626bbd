"""The money of a purchase as UCP shows it: totals, and discounts. A discount is negative in totals and positive in its
own object."""

from __future__ import annotations

from chalicelib.api.requests import Json
from chalicelib.discounts import AppliedDiscount
from chalicelib.pricing import Market
from chalicelib.purchase import Line, Purchase


def totals(purchase: Purchase, market: Market) -> list[Json]:
    """Return the totals of a purchase. All entries before ``total`` add up to it.

    Where prices include tax, the ``tax`` entry is 0. Then sub-lines of the items and of the shipping show the tax that
    they contain. A discount lies between items and tax, so that with a discount the sub-lines of the total show it.
    """
    sums = purchase.totals
    contained = 0 if sums.discount else sums.tax - sums.shipping_tax
    shown = [
        _with_contained_tax("subtotal", sums.subtotal, contained, market),
        *_items_discount(sums.discount),
        _with_contained_tax("fulfillment", sums.shipping, sums.shipping_tax, market),
        {
            "type": "tax",
            "amount": sums.tax_on_top,
            "display_text": "Tax (included in prices)" if market.tax_included else "Tax",
        },
        _with_contained_tax("total", sums.total, sums.tax if sums.discount else 0, market),
    ]
    return shown if purchase.destination else [part for part in shown if part["type"] != "fulfillment"]


def line_totals(line: Line, purchase: Purchase) -> list[Json]:
    """Return the totals of a line. Tax on top is an entry of its own; tax that the price contains is not."""
    item_amount, on_top = line.price, line.tax if purchase.totals.tax_on_top else 0
    parts: list[Json] = [{"type": "subtotal", "amount": line.gross}, *_items_discount(line.discount)]
    if on_top:
        parts.append({"type": "tax", "amount": on_top})
    return [*parts, {"type": "total", "amount": item_amount + on_top}]


def discounts_object(purchase: Purchase) -> Json:
    """Return the codes as the client sent them, and the discounts that apply.

    Source: ``discount.json#/$defs/discounts_object``.
    """
    return {"codes": list(purchase.discount_codes), "applied": [_applied_discount(one) for one in purchase.discounts]}


def _applied_discount(discount: AppliedDiscount) -> Json:
    parts = [{"path": f"$.line_items[{index}]", "amount": part} for index, part in enumerate(discount.parts) if part]
    shown: Json = {"title": discount.title, "amount": discount.amount, "automatic": discount.automatic}
    shown |= {"method": "across", "priority": discount.priority, "allocations": parts}
    return shown if discount.automatic else {"code": discount.code} | shown


def _items_discount(amount: int) -> list[Json]:
    """Return the discount on items as an entry of totals; none without a discount."""
    return [{"type": "items_discount", "amount": -amount, "display_text": "Discount"}] if amount else []


def _with_contained_tax(kind: str, amount: int, tax: int, market: Market) -> Json:
    part: Json = {"type": kind, "amount": amount}
    if market.tax_included and tax:
        part["lines"] = [{"display_text": "Net", "amount": amount - tax}, {"display_text": "Tax", "amount": tax}]
    return part
