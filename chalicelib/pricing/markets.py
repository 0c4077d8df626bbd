"""Markets: the destination of an order decides its tax and shipping. Amounts are minor units by currency."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from chalicelib.currencies import MAX_AMOUNT, amount_rule
from chalicelib.errors import BadInput
from chalicelib.pricing.countries import COUNTRIES
from chalicelib.schema import CurrencyCode, Id, StrictModel, Text

_COUNTRY = re.compile(r"[A-Z]{2}")
_MAX_BYTES: Final = 65_536
"""Bytes of a table as JSON. Each process that prices reads the table once a second, for up to 8 RCU."""


def _check_country(country: str) -> str:
    if country not in COUNTRIES:
        raise ValueError("must be a country code of ISO 3166-1 alpha-2, such as GB")
    return country


Country = Annotated[str, AfterValidator(_check_country)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
Amount = Annotated[int, Field(ge=0, json_schema_extra={"maximum": MAX_AMOUNT})]


class ShippingOption(StrictModel):
    """A way to ship to a market, with its price in each currency that shows sell in, before tax on top.

    It is free from an items total of ``free_from`` on: the price of the items after discounts, before tax on top.
    """

    id: Id
    title: Text
    price: Annotated[dict[CurrencyCode, Amount], Field(min_length=1)]
    free_from: dict[CurrencyCode, Amount] = Field(default_factory=dict)

    def cost(self, currency: str, items_total: int) -> int:
        """Return the shipping price for items of this total."""
        threshold = self.free_from.get(currency)
        return 0 if threshold is not None and items_total >= threshold else self.price[currency]


class Market(StrictModel):
    """Tax and shipping of a group of countries. Rates are basis points. ``categories`` override the standard rate."""

    id: Id
    countries: Annotated[tuple[Country, ...], Field(strict=False)] = ()
    tax_included: bool
    standard_rate_bps: BasisPoints
    categories: dict[Id, BasisPoints] = Field(default_factory=dict)
    shipping: Annotated[tuple[ShippingOption, ...], Field(strict=False)]
    """Shipping options, the standard one first."""

    def rate_bps(self, tax_category: str | None) -> int:
        """Return the tax rate of a category; the standard rate for an unknown category."""
        return self.categories.get(tax_category or "", self.standard_rate_bps)

    def options(self, currency: str) -> tuple[ShippingOption, ...]:
        """Return the shipping options with a price in ``currency``, the standard one first."""
        return tuple(option for option in self.shipping if currency in option.price)


class Markets(StrictModel):
    """All markets of the shop, and ``elsewhere`` for all other countries.

    Without a shipping option, ``elsewhere`` means that the shop ships to no other country.
    """

    markets: Annotated[tuple[Market, ...], Field(strict=False)] = ()
    elsewhere: Market

    @cached_property
    def by_country(self) -> Mapping[str, Market]:
        """The market of each country that a market names."""
        return {country: market for market in self.markets for country in market.countries}

    def of_country(self, country: str | None) -> Market | None:
        """Return the market of a country; None for a text that is not of the form of ISO 3166-1 alpha-2."""
        if country is None or not _COUNTRY.fullmatch(country):
            return None
        return self.by_country.get(country, self.elsewhere)

    def by_id(self, market_id: str) -> Market:
        """Return the market with this id; ``elsewhere`` when it is gone."""
        return next((market for market in self.markets if market.id == market_id), self.elsewhere)

    def shipping_currencies(self) -> Iterator[tuple[str, str]]:
        """Yield each currency that a shipping option has a price in, after the JSONPath of that price."""
        for path, market in [*self._listed(), ("$.elsewhere", self.elsewhere)]:
            for index, option in enumerate(market.shipping):
                yield from ((f"{path}.shipping[{index}].price.{currency}", currency) for currency in option.price)

    def check(self) -> None:
        """Check the rules that no single field shows: doubles, and missing countries or shipping options.

        Raises: ``BadInput`` naming the field.
        """
        if len(self.model_dump_json()) > _MAX_BYTES:
            raise BadInput(f"The table must have {_MAX_BYTES} bytes or fewer.", field="$", code="table_too_large")
        for field, rule in self._broken_rules():
            raise BadInput(f"`{field}` {rule}.", field=field)

    def _listed(self) -> list[tuple[str, Market]]:
        return [(f"$.markets[{index}]", market) for index, market in enumerate(self.markets)]

    def _broken_rules(self) -> Iterator[tuple[str, str]]:
        ids, countries = set[str](), set[str]()
        listed = self._listed()
        for path, market in [*listed, ("$.elsewhere", self.elsewhere)]:
            if market.id in ids:
                yield f"{path}.id", "must differ from the ids of other markets"
            ids.add(market.id)
            for index, country in enumerate(market.countries):
                if country in countries:
                    yield f"{path}.countries[{index}]", "must be in one market, once"
                countries.add(country)
            yield from _broken_shipping_rules(f"{path}.shipping", market)
        for path, market in listed:
            if not market.countries:
                yield f"{path}.countries", "must name a country"
            if not market.shipping:
                yield f"{path}.shipping", "must have an option"
        if self.elsewhere.countries:
            yield "$.elsewhere.countries", "must be empty, as this market is for all other countries"


def _broken_shipping_rules(path: str, market: Market) -> Iterator[tuple[str, str]]:
    ids = set[str]()
    for index, option in enumerate(market.shipping):
        if option.id in ids:
            yield f"{path}[{index}].id", "must differ from the ids of the market's other options"
        ids.add(option.id)
        for currency in option.free_from.keys() - option.price.keys():
            yield f"{path}[{index}].free_from.{currency}", "must have a price in this currency"
        for name, amounts in (("price", option.price), ("free_from", option.free_from)):
            for currency, amount in amounts.items():
                rule = amount_rule(amount, currency)
                if rule is not None:
                    yield f"{path}[{index}].{name}.{currency}", rule


def _option(id_: str, title: str, **price: int) -> ShippingOption:
    return ShippingOption(id=id_, title=title, price=price)


# UK VAT: standard rate 20 %, zero rate for food, books and children's clothes, by
# `gov.uk/guidance/rates-of-vat-on-different-goods-and-services`. Exports are zero-rated. US sales tax depends on nexus
# and address: it is 0 until a tax provider calculates it.
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
