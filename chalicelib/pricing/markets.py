"""Markets: where goods go decides tax and shipping. The shop's table of them; amounts in minor units by currency."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chalicelib.errors import BadInput
from chalicelib.pricing.countries import COUNTRIES
from chalicelib.schema import Currency, Id, Text

_COUNTRY = re.compile(r"[A-Z]{2}")
_MAX_BYTES: Final = 65_536
"""Of a table as JSON: every process that prices reads it once a second, some 8 read units for one as large as this."""


def _check_country(country: str) -> str:
    if country not in COUNTRIES:
        raise ValueError("must be a country code of ISO 3166-1 alpha-2, such as GB")
    return country


Country = Annotated[str, AfterValidator(_check_country)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
Amount = Annotated[int, Field(ge=0, le=100_000_000)]


class _Exact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ShippingOption(_Exact):
    """A way to ship to a market, and its price in each currency a show may sell in; tax on top is not in it.

    It is free from ``free_from`` on: what the goods cost, discounts taken off, before tax on top.
    """

    id: Id
    title: Text
    price: Annotated[dict[Currency, Amount], Field(min_length=1)]
    free_from: dict[Currency, Amount] = {}

    def cost(self, currency: str, goods_total: int) -> int:
        """What shipping goods of this price costs."""
        threshold = self.free_from.get(currency)
        return 0 if threshold is not None and goods_total >= threshold else self.price[currency]


class Market(_Exact):
    """Tax and shipping for a group of countries. Rates in basis points; ``categories`` override the standard rate."""

    id: Id
    countries: Annotated[tuple[Country, ...], Field(strict=False)] = ()
    tax_included: bool
    standard_rate_bps: BasisPoints
    categories: dict[Id, BasisPoints] = {}
    shipping: Annotated[tuple[ShippingOption, ...], Field(strict=False)]
    """Ways to ship, the usual one first."""

    def rate_bps(self, tax_category: str | None) -> int:
        """The tax rate of a category; the standard rate when it has none of its own."""
        return self.categories.get(tax_category or "", self.standard_rate_bps)

    def options(self, currency: str) -> tuple[ShippingOption, ...]:
        """The shipping options that have a price in ``currency``, the usual one first."""
        return tuple(option for option in self.shipping if currency in option.price)


class Markets(_Exact):
    """All markets of the shop: by country, with one for the rest of the world.

    Where ``elsewhere`` has no shipping, goods go nowhere else.
    """

    markets: Annotated[tuple[Market, ...], Field(strict=False)] = ()
    elsewhere: Market

    @cached_property
    def by_country(self) -> Mapping[str, Market]:
        """The market of each country that has one of its own."""
        return {country: market for market in self.markets for country in market.countries}

    def of_country(self, country: str | None) -> Market | None:
        """The market of an ISO 3166-1 alpha-2 code; None when it is not of that form."""
        if country is None or not _COUNTRY.fullmatch(country):
            return None
        return self.by_country.get(country, self.elsewhere)

    def by_id(self, market_id: str) -> Market:
        """The market a purchase was priced in."""
        return next((market for market in self.markets if market.id == market_id), self.elsewhere)

    def check(self) -> None:
        """``BadInput`` naming the field, for what no field can tell of itself: doubles, and what is missing."""
        if len(self.model_dump_json()) > _MAX_BYTES:
            raise BadInput(f"A table may have {_MAX_BYTES} bytes at most.", field="$", code="table_too_large")
        for field, fault in self._faults():
            raise BadInput(f"{field}: {fault}", field=field)

    def _faults(self) -> Iterator[tuple[str, str]]:
        ids, countries = set[str](), set[str]()
        placed = [(f"$.markets[{index}]", market) for index, market in enumerate(self.markets)]
        for where, market in [*placed, ("$.elsewhere", self.elsewhere)]:
            if market.id in ids:
                yield f"{where}.id", "is another market's"
            ids.add(market.id)
            for index, country in enumerate(market.countries):
                if country in countries:
                    yield f"{where}.countries[{index}]", "is in a market already"
                countries.add(country)
            yield from _faults_of_shipping(f"{where}.shipping", market)
        for where, market in placed:
            if not market.countries:
                yield f"{where}.countries", "must name a country"
            if not market.shipping:
                yield f"{where}.shipping", "must have an option"
        if self.elsewhere.countries:
            yield "$.elsewhere.countries", "must be empty: this market is for all other countries"


def _faults_of_shipping(where: str, market: Market) -> Iterator[tuple[str, str]]:
    ids = set[str]()
    for index, option in enumerate(market.shipping):
        if option.id in ids:
            yield f"{where}[{index}].id", "is another option's of this market"
        ids.add(option.id)
        for currency in option.free_from.keys() - option.price.keys():
            yield f"{where}[{index}].free_from.{currency}", "has no price to be free of"


def _option(id_: str, title: str, **price: int) -> ShippingOption:
    return ShippingOption(id=id_, title=title, price=price)


# UK VAT: standard rate 20 %, zero rate for food, books and children's clothes (gov.uk/guidance/rates-of-vat-on-
# different-goods-and-services). Exports are zero-rated. US sales tax depends on nexus and address: 0 until a tax
# provider calculates it.
DEFAULT_MARKETS: Final = Markets(
    markets=(
        Market(
            id="GB",
            countries=("GB",),
            tax_included=True,
            standard_rate_bps=2_000,
            categories={"zero": 0, "food": 0, "books": 0, "children": 0, "reduced": 500},
            shipping=(
                _option("standard", "Standard delivery", GBP=395, EUR=495, USD=495),
                _option("express", "Next-day delivery", GBP=795, EUR=995, USD=995),
            ),
        ),
        Market(
            id="US",
            countries=("US",),
            tax_included=False,
            standard_rate_bps=0,
            shipping=(
                _option("standard", "Standard shipping", GBP=995, EUR=1_195, USD=1_195),
                _option("express", "Express shipping", GBP=1_995, EUR=2_395, USD=2_395),
            ),
        ),
    ),
    elsewhere=Market(
        id="ROW",
        tax_included=False,
        standard_rate_bps=0,
        shipping=(_option("standard", "International delivery", GBP=1_495, EUR=1_795, USD=1_795),),
    ),
)
