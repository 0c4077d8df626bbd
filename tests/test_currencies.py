"""Currencies of ISO 4217: exponents, steps, and limits by value."""

from __future__ import annotations

import pytest

from chalicelib.currencies import CURRENCIES, MAX_AMOUNT, amount_rule, exponent, highest_amount, step
from chalicelib.errors import BadInput
from chalicelib.schema import Price

SMALL_UNITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}


def test_exponents_are_those_of_iso_4217() -> None:
    others = {code: digits for digits, codes in SMALL_UNITS.items() for code in codes.split()}
    assert {code: exponent(code) for code in CURRENCIES} == {code: others.get(code, 2) for code in CURRENCIES}
    assert set(others) <= CURRENCIES
    assert len(CURRENCIES) == 155


def test_funds_have_an_exponent_and_nobody_sells_in_them() -> None:
    assert [exponent(code) for code in ("CLF", "UYW", "UYI", "BOV")] == [4, 4, 0, 2]
    assert not CURRENCIES & {"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW"}


NO_CURRENCIES = [
    "ZZZ",
    "XXX",
    "XTS",
    "XAU",
    "XDR",
    "XUA",
    "XBA",
    "CLF",
    "HRK",
    "BGN",
    "ANG",
    "ZWL",
    "gbp",
    "Gbp",
    "",
    "GB",
]


@pytest.mark.parametrize("code", NO_CURRENCIES)
def test_code_that_is_no_currency_is_refused_with_its_field(code: str) -> None:
    with pytest.raises(BadInput) as refusal:
        Price.from_body({"amount": 100, "currency": code})
    assert refusal.value.field == "$.currency"


@pytest.mark.parametrize("code", ["ZZZ", "XXX", "gbp"])
def test_unknown_code_has_no_exponent(code: str) -> None:
    with pytest.raises(ValueError, match=f"{code} is no currency"):
        exponent(code)


@pytest.mark.parametrize(
    ("currency", "highest"),
    [
        ("GBP", 100_000_000),
        ("USD", 100_000_000),
        ("JPY", 100_000_000),
        ("KWD", 1_000_000_000),
        ("IDR", 999_999_999_999),
        ("VND", 9_999_999_999),
        ("UGX", 9_999_999_999),
        ("MGA", 999_999_999_900),
    ],
)
def test_highest_price_is_about_a_million_dollars(currency: str, highest: int) -> None:
    assert highest_amount(currency) == highest
    assert Price.from_body({"amount": highest, "currency": currency}).amount == highest
    with pytest.raises(BadInput) as refusal:
        Price.from_body({"amount": highest + step(currency), "currency": currency})
    assert refusal.value.field == "$.amount"


def test_price_of_ninety_dollars_in_rupiah_is_accepted() -> None:
    assert Price.from_body({"amount": 150_000_000, "currency": "IDR"}).amount == 150_000_000


def test_highest_amount_of_every_currency_has_twelve_digits_and_is_on_the_step() -> None:
    for currency in CURRENCIES:
        assert 10**6 <= highest_amount(currency) <= MAX_AMOUNT, currency
        assert amount_rule(highest_amount(currency), currency) is None, currency


@pytest.mark.parametrize(("currency", "amount", "good"), [("KWD", 5_005, 5_010), ("BHD", 1, 10), ("MGA", 150, 200)])
def test_price_between_two_steps_is_refused_with_its_field(currency: str, amount: int, good: int) -> None:
    assert Price.from_body({"amount": good, "currency": currency}).amount == good
    with pytest.raises(BadInput, match="must be a multiple of") as refusal:
        Price.from_body({"amount": amount, "currency": currency})
    assert refusal.value.field == "$.amount"
