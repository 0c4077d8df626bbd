"""Stripe's units of money by currency, and what it can charge."""

from __future__ import annotations

import pytest

from chalicelib.currencies import CURRENCIES, highest_amount, step
from chalicelib.payments import SandboxGateway
from chalicelib.payments.stripe.currencies import (
    SUPPORTED_CURRENCIES,
    balance_amount,
    charge_problem,
    from_provider_amount,
    to_provider_amount,
)
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.conftest import Tables

UNITS = [
    (1_670, "GBP", 1_670),
    (5_000, "ISK", 500_000),
    (7, "UGX", 700),
    (500, "JPY", 500),
    (500, "XPF", 500),
    (250_000, "MGA", 2_500),
    (1_045, "HUF", 1_045),
    (80_045, "TWD", 80_045),
    (5_120, "KWD", 5_120),
]


@pytest.mark.parametrize(("amount", "currency", "units"), UNITS)
def test_amount_has_stripes_units_and_comes_back_exactly(amount: int, currency: str, units: int) -> None:
    assert to_provider_amount(amount, currency) == units
    assert from_provider_amount(units, currency) == amount


@pytest.mark.parametrize(("amount", "currency"), [(5_124, "KWD"), (5, "TND"), (150, "MGA"), (1, "MGA")])
def test_amount_that_stripe_cannot_express_is_an_error_and_never_rounded(amount: int, currency: str) -> None:
    with pytest.raises(ValueError, match="Stripe charges multiples of"):
        to_provider_amount(amount, currency)


@pytest.mark.parametrize("currency", ["ISK", "UGX"])
def test_stripes_fraction_of_a_whole_unit_is_an_error_and_never_rounded(currency: str) -> None:
    with pytest.raises(ValueError, match="no whole number of minor units"):
        from_provider_amount(12_345, currency)


@pytest.mark.parametrize("currency", ["IQD", "LYD", "ZZZ", "gbp", "XXX"])
def test_currency_that_stripe_does_not_charge_is_an_error(currency: str) -> None:
    with pytest.raises(ValueError, match=f"Stripe charges nothing in {currency}"):
        to_provider_amount(1_000, currency)


def test_every_step_of_every_supported_currency_has_exact_units() -> None:
    assert SUPPORTED_CURRENCIES < CURRENCIES
    for currency in SUPPORTED_CURRENCIES:
        for amount in (step(currency), 7 * step(currency), highest_amount(currency)):
            assert from_provider_amount(to_provider_amount(amount, currency), currency) == amount, currency
        assert charge_problem(highest_amount(currency), currency) is None, currency


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(30, "GBP"), (50, "USD"), (50, "JPY"), (17_500, "HUF"), (1, "ISK"), (10, "KWD"), (100, "MGA")],
)
def test_smallest_charge_has_no_problem_and_a_smaller_one_has(amount: int, currency: str) -> None:
    assert charge_problem(amount, currency) is None
    assert charge_problem(amount - step(currency), currency) is not None


def test_charge_of_thirteen_digits_is_a_problem() -> None:
    assert charge_problem(999_999_999_999, "USD") is None
    assert charge_problem(10**12, "USD") == "The charge must have twelve digits or fewer in Stripe's unit of USD."
    assert charge_problem(10**10, "UGX") is not None


def test_problem_of_a_charge_is_a_sentence_with_the_remedy(gateway: StripeGateway) -> None:
    assert gateway.amount_problem(29, "GBP") == "The minimum charge in GBP is 30 minor units."
    assert gateway.amount_problem(5_124, "KWD") == "Stripe charges multiples of 10 minor units in KWD."
    assert gateway.amount_problem(1_000, "IQD") == "Stripe charges nothing in IQD."


def test_sandbox_charges_every_currency(tables: Tables) -> None:
    sandbox = SandboxGateway(tables.dynamodb, tables.sandbox)
    problems = {code: sandbox.amount_problem(highest_amount(code), code) for code in CURRENCIES}
    assert problems == dict.fromkeys(CURRENCIES)
    assert sandbox.amount_problem(0, "GBP") == "The charge must be between 1 and 999999999999 minor units."
    assert sandbox.amount_problem(10**12, "GBP") is not None
    assert sandbox.amount_problem(100, "ZZZ") == "ZZZ is no currency of ISO 4217."


@pytest.mark.parametrize(
    ("units", "currency", "amount"),
    [(1_234, "GBP", 1_234), (-4_550, "ISK", -45), (4_550, "ISK", 46), (7, "MGA", 700), (1_234_567, "USDC", 1_234_567)],
)
def test_the_balance_is_followed_in_any_currency_and_fraction(units: int, currency: str, amount: int) -> None:
    assert balance_amount(units, currency) == amount
