"""Compute tax and totals of a purchase in minor units. The parts add up to the total."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.currencies import step
from chalicelib.money import tax_on
from chalicelib.pricing import Market, ShippingOption
from chalicelib.purchase.model import Line, Totals


def with_tax(line: Line, market: Market, currency: str) -> Line:
    """Return the line with its tax, rounded once for the whole line: on top of the price, to the currency's step."""
    rate_bps = market.rate_bps(line.tax_category)
    tax = tax_on(line.price, rate_bps, step(currency), included=market.tax_included)
    return line.model_copy(update={"tax": tax, "tax_rate_bps": rate_bps})


def totals_of(lines: Sequence[Line], market: Market, option: ShippingOption | None, currency: str) -> Totals:
    """Return the totals of taxed lines and a shipping option. None: no destination yet, so shipping costs nothing."""
    subtotal, discount = sum(line.gross for line in lines), sum(line.discount for line in lines)
    shipping = option.cost(currency, subtotal - discount) if option and lines else 0
    shipping_tax = tax_on(shipping, market.standard_rate_bps, step(currency), included=market.tax_included)
    tax = sum(line.tax for line in lines) + shipping_tax
    on_top = 0 if market.tax_included else tax
    return Totals(
        subtotal=subtotal,
        discount=discount,
        shipping=shipping,
        shipping_tax=shipping_tax,
        shipping_tax_rate_bps=market.standard_rate_bps if shipping else 0,
        tax=tax,
        tax_on_top=on_top,
        total=subtotal - discount + shipping + on_top,
    )
