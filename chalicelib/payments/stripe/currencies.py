"""Stripe's units of money: which currencies it charges, in which unit, and its bounds of a charge.

Source: https://docs.stripe.com/currencies. The product's amounts are minor units by ISO 4217. Stripe's unit is another
one for MGA, ISK and UGX. Nothing here needs the SDK.
"""

from __future__ import annotations

from typing import Final

from chalicelib.currencies import codes_in, exponent
from chalicelib.telemetry import logger

SUPPORTED_CURRENCIES: Final = codes_in(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF"
    " CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG"
    " HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD"
    " MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON"
    " RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU"
    " UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW"
)
"""Currencies of charges. The country of an account may allow fewer, which only Stripe knows."""

_WITHOUT_DECIMALS: Final = codes_in("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF")
_WITH_THREE_DECIMALS: Final = codes_in("BHD JOD KWD OMR TND")

_MINIMA: Final = {
    currency: minimum
    for minimum, currencies in {
        30: "GBP",
        50: "ARS AUD BRL CAD CHF COP EUR IDR ILS INR JPY KRW NZD PHP RUB SGD USD ZAR",
        200: "AED MYR PLN RON",
        250: "DKK",
        300: "NOK SEK",
        400: "HKD",
        1_000: "MXN THB",
        1_500: "CZK",
        17_500: "HUF",
    }.items()
    for currency in codes_in(currencies)
}
"""Minimum charges in minor units by ISO 4217, for an account that settles in the currency of the charge.

Stripe judges other charges after conversion at the rate of the day. Only Stripe knows their minimum.
"""

_MAXIMUM: Final = 999_999_999_999
"""Twelve digits of Stripe's units, for cards. Some card networks carry fewer, and decline a larger charge."""


def to_provider_amount(amount: int, currency: str) -> int:
    """Convert minor units by ISO 4217 to Stripe's units, exactly: 5,000 ISK are 500,000, and 500 MGA are 5.

    Raises:
        ValueError: Stripe charges nothing in this currency, or cannot express the amount.
    """
    if currency not in SUPPORTED_CURRENCIES:
        raise ValueError(f"Stripe charges nothing in {currency}.")
    multiple = _multiple(currency)
    if amount % multiple:
        raise ValueError(f"Stripe charges multiples of {multiple} minor units in {currency}.")
    return amount * _units_per_minor_unit(currency) // _minor_units_per_unit(currency)


def from_provider_amount(amount: int, currency: str) -> int:
    """Convert Stripe's units to minor units by ISO 4217, exactly. ``currency`` may be one of a fee or a payout alone.

    Raises:
        ValueError: ISO 4217 does not have this currency, or its minor unit cannot express the amount.
    """
    whole, rest = divmod(amount * _minor_units_per_unit(currency), _units_per_minor_unit(currency))
    if rest:
        raise ValueError(f"{amount} of Stripe's units are no whole number of minor units in {currency}.")
    return whole


def balance_amount(amount: int, currency: str) -> int:
    """Convert an amount of the balance, which must be followed in any currency.

    An amount in a currency outside ISO 4217 (a stablecoin) stays in Stripe's units. A fraction of a minor unit is
    rounded half up and logged, so that the comparison with the provider's balance names the rest.
    """
    try:
        exponent(currency)
    except ValueError:
        return amount
    try:
        return from_provider_amount(amount, currency)
    except ValueError:
        logger.warning("fraction of a minor unit in the balance", extra={"units": amount, "currency": currency})
        units = _units_per_minor_unit(currency)
        return (2 * amount + units) // (2 * units)


def _provider_exponent(currency: str) -> int:
    """Return the decimals that Stripe's amounts have in a currency."""
    if currency in _WITHOUT_DECIMALS:
        return 0
    return 3 if currency in _WITH_THREE_DECIMALS else 2


def received_amount(amount: int, currency: str) -> int:
    """Convert an amount that a payment received, or may receive.

    A fraction of a minor unit is left out and logged. So a payment that lacks a fraction is never taken as whole, and
    no refund asks for more than was received.
    """
    fraction = amount % _units_per_minor_unit(currency) if currency in SUPPORTED_CURRENCIES else 0
    if fraction:
        logger.warning("fraction of a minor unit received", extra={"units": amount, "currency": currency})
    return balance_amount(amount - fraction, currency)


def charge_problem(amount: int, currency: str) -> str | None:
    """Return a sentence why Stripe cannot charge an amount of minor units; None if it can, as far as is known here."""
    try:
        units = to_provider_amount(amount, currency)
    except ValueError as error:
        return str(error)
    if amount < (minimum := _MINIMA.get(currency, _multiple(currency))):
        return f"The minimum charge in {currency} is {minimum} minor units."
    if units > _MAXIMUM:
        return f"The charge must have twelve digits or fewer in Stripe's unit of {currency}."
    return None


def _multiple(currency: str) -> int:
    """Return the smallest step of a charge in minor units. Three decimals must end in 0, in refunds as well."""
    return 10 if currency in _WITH_THREE_DECIMALS else _minor_units_per_unit(currency)


def _units_per_minor_unit(currency: str) -> int:
    """Return how many of Stripe's units are one minor unit: 100 in ISK, 1 where Stripe's unit is not smaller."""
    return int(10 ** max(0, _provider_exponent(currency) - exponent(currency)))


def _minor_units_per_unit(currency: str) -> int:
    """Return how many minor units are one of Stripe's units: 100 in MGA, 1 where Stripe's unit is not larger."""
    return int(10 ** max(0, exponent(currency) - _provider_exponent(currency)))
