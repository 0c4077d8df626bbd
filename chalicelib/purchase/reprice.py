"""Price a purchase: market, shipping option, discounts, tax and totals.

Create and update use ``reprice_purchase``, which tries every discount code again. Complete uses
``reprice_keeping_rejections``, because it has just learnt that a code cannot be had.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.discounts import ActiveDiscount, PricingInput, RejectionReason, apply_discounts
from chalicelib.errors import BadInput
from chalicelib.pricing import Market, Markets, ShippingOption
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.model import Destination, Purchase
from chalicelib.purchase.totals import totals_of, with_tax


def reprice_purchase(context: CheckoutContext, purchase: Purchase, markets: Markets) -> Purchase:
    """Price a purchase as of ``updated_at``. Earlier rejections of codes are forgotten, except known *used up* ones."""
    offered = _read_discounts(context, purchase)
    used_up = {
        active.discount.code: RejectionReason.USED_UP.value
        for active in (*offered.by_code.values(), *offered.automatic)
        if active is not None and active.used_up
    }
    return _price(purchase.model_copy(update={"rejected_codes": used_up}), offered, markets)


def reprice_keeping_rejections(context: CheckoutContext, purchase: Purchase, markets: Markets) -> Purchase:
    """Price a purchase as of ``updated_at``. A code that was rejected stays rejected."""
    return _price(purchase, _read_discounts(context, purchase), markets)


def shipping_options(
    markets: Markets, destination: Destination | None, market_id: str, currency: str
) -> tuple[Market, tuple[ShippingOption, ...]]:
    """Return the market of a destination and its shipping options. No option while the country is unknown."""
    country = destination.address_country if destination else None
    market = markets.of_country(country) or markets.by_id(market_id)
    return market, market.options(currency) if country else ()


def check_shipping_option(
    markets: Markets, chosen: str | None, destination: Destination | None, market_id: str, currency: str
) -> None:
    """Check that a market ships to the destination in the chosen way. Called before any unit is taken.

    Raises:
        BadInput: the market has no such option for the destination's country.
    """
    if chosen is None or destination is None or destination.address_country is None:
        return
    _, options = shipping_options(markets, destination, market_id, currency)
    if chosen not in {option.id for option in options}:
        path = "$.fulfillment.methods[0].groups[0].selected_option_id"
        raise BadInput("The shipping option must be one of those listed for this destination.", field=path)


@dataclass(frozen=True, slots=True)
class _OfferedDiscounts:
    by_code: dict[str, ActiveDiscount | None]
    automatic: tuple[ActiveDiscount, ...]


def _read_discounts(context: CheckoutContext, purchase: Purchase) -> _OfferedDiscounts:
    return _OfferedDiscounts(
        {code: context.discounts.find(code, purchase.updated_at) for code in purchase.discount_codes},
        context.discounts.automatic_of_show(purchase.show_id, purchase.updated_at),
    )


def _price(purchase: Purchase, offered: _OfferedDiscounts, markets: Markets) -> Purchase:
    purchase = _with_discounts(purchase, offered)
    market, options = shipping_options(markets, purchase.destination, purchase.market, purchase.currency)
    option = next((option for option in options if option.id == purchase.shipping_option), next(iter(options), None))
    lines = tuple(with_tax(line, market, purchase.currency) for line in purchase.lines)
    return purchase.model_copy(
        update={
            "market": market.id,
            "shipping_option": option.id if option else None,
            "lines": lines,
            "totals": totals_of(lines, market, option, purchase.currency),
        }
    )


def _with_discounts(purchase: Purchase, offered: _OfferedDiscounts) -> Purchase:
    priced_lines = [(line.drop_id, line.gross) for line in purchase.lines]
    pricing_input = PricingInput(purchase.show_id, purchase.currency, priced_lines, purchase.rejected_codes)
    applied, rejected = apply_discounts(pricing_input, offered.by_code, offered.automatic, purchase.updated_at)
    lines = tuple(
        line.model_copy(update={"discount": sum(discount.parts[index] for discount in applied)})
        for index, line in enumerate(purchase.lines)
    )
    return purchase.model_copy(update={"discounts": applied, "rejected_codes": rejected, "lines": lines})
