"""Price a purchase: market, shipping, discounts, tax, totals."""

from __future__ import annotations

from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.model import Destination


def check_shipping_option(
    context: CheckoutContext,
    chosen: str | None,
    destination: Destination | None,
    markets_and_currencies: set[tuple[str, str]],
    now: Instant,
) -> None:
    """``BadInput`` unless goods can go there in the chosen way. Asked before any unit is taken, so none goes back."""
    if chosen is None or destination is None or destination.address_country is None:
        return
    for market, currency in markets_and_currencies:
        if chosen not in {option.id for option in context.shipping_options(destination, market, currency, now)[1]}:
            where = "$.fulfillment.methods[0].groups[0].selected_option_id"
            raise BadInput("There is no such shipping option for this destination.", field=where)
