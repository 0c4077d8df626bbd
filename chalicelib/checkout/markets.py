"""Markets: where goods go decides tax and shipping. A table with defaults; amounts in minor units by currency."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class ShippingOption:
    """A way to ship to a market, and its price in each currency a show may sell in."""

    id: str
    title: str
    price: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Market:
    """Tax and shipping for a group of countries. Rates in basis points; ``categories`` override the standard rate."""

    id: str
    tax_included: bool
    standard_rate_bps: int
    shipping: tuple[ShippingOption, ...]
    categories: Mapping[str, int] = field(default_factory=dict)

    def rate_bps(self, tax_category: str | None) -> int:
        """The tax rate of a category; the standard rate when it has none of its own."""
        return self.categories.get(tax_category or "", self.standard_rate_bps)

    def options(self, currency: str) -> tuple[ShippingOption, ...]:
        """The shipping options that have a price in ``currency``, the usual one first."""
        return tuple(option for option in self.shipping if currency in option.price)


@dataclass(frozen=True, slots=True)
class Markets:
    """All markets of the shop: by country, with one for the rest of the world."""

    by_country: Mapping[str, Market]
    elsewhere: Market

    def of_country(self, country: str | None) -> Market | None:
        """The market of an ISO 3166-1 alpha-2 code; None when it is not of that form."""
        if country is None or not _COUNTRY.fullmatch(country):
            return None
        return self.by_country.get(country, self.elsewhere)

    def by_id(self, market_id: str) -> Market:
        """The market a purchase was priced in."""
        for market in self.by_country.values():
            if market.id == market_id:
                return market
        return self.elsewhere


# UK VAT: standard rate 20 %, zero rate for food, books and children's clothes (gov.uk/guidance/rates-of-vat-on-
# different-goods-and-services). Exports are zero-rated. US sales tax depends on nexus and address: 0 until a tax
# provider calculates it.
DEFAULT_MARKETS = Markets(
    by_country={
        "GB": Market(
            id="GB",
            tax_included=True,
            standard_rate_bps=2_000,
            categories={"zero": 0, "food": 0, "books": 0, "children": 0, "reduced": 500},
            shipping=(
                ShippingOption("standard", "Standard delivery", {"GBP": 395, "EUR": 495, "USD": 495}),
                ShippingOption("express", "Next-day delivery", {"GBP": 795, "EUR": 995, "USD": 995}),
            ),
        ),
        "US": Market(
            id="US",
            tax_included=False,
            standard_rate_bps=0,
            shipping=(
                ShippingOption("standard", "Standard shipping", {"GBP": 995, "EUR": 1_195, "USD": 1_195}),
                ShippingOption("express", "Express shipping", {"GBP": 1_995, "EUR": 2_395, "USD": 2_395}),
            ),
        ),
    },
    elsewhere=Market(
        id="ROW",
        tax_included=False,
        standard_rate_bps=0,
        shipping=(ShippingOption("standard", "International delivery", {"GBP": 1_495, "EUR": 1_795, "USD": 1_795}),),
    ),
)
