"""Currencies of ISO 4217: minor units, the step of amounts, and the highest amount that an operator can put.

The source is list one of the maintenance agency, SIX, up to amendment 180
(https://www.six-group.com/en/products-services/financial-information/data-standards.html).
All amounts are integers of minor units by ISO 4217.
"""

from __future__ import annotations

from typing import Final


def codes_in(text: str) -> frozenset[str]:
    """Return the codes in a text that spaces divide. Tables of codes are easier to read so."""
    return frozenset(text.split())


_EXPONENTS: Final = {
    code: digits
    for digits, codes in {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE"
        " CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD"
        " HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK"
        " MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD"
        " RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH"
        " USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }.items()
    for code in codes_in(codes)
}
"""Digits of the minor unit. Codes of metals, units of account, bonds and tests (XAU, XDR, XTS, XXX) are absent."""

_FUNDS: Final = codes_in("BOV CHE CHW CLF COU MXV USN UYI UYW")
"""Fund codes of list one: they index contracts, and nobody pays in them."""

CURRENCIES: Final = frozenset(_EXPONENTS) - _FUNDS
"""The currencies that a shop can sell in, as far as ISO 4217 goes. A payment provider charges some of them."""

_STEPS: Final = dict.fromkeys((code for code in CURRENCIES if _EXPONENTS[code] == 3), 10) | {"MGA": 100}

# Units of a currency for one US dollar, as the nearest power of ten: 10^2 for 150 JPY. Rates of late 2025, rounded on
# the logarithm's scale: a power covers rates from 0.32 to 3.16 times its value. Absent codes: 10^0, such as GBP.
_UNITS_PER_DOLLAR: Final = {
    code: power
    for power, codes in {
        1: "AED BOB BRL BWP CNY CUP CZK DKK ERN GHS GTQ HKD HNL ILS LSL LYD MAD MDL MOP MVR MXN MYR NAD NOK PEN"
        " PGK PLN QAR RON SAR SBD SCR SEK SLE STN SVC SZL TJS TMT TTD ZAR ZMW ZWG",
        2: "AFN ALL BDT BTN CVE DJF DOP DZD EGP ETB GMD GYD HTG INR ISK JMD JPY KES KGS LKR LRD MKD MRU MUR MZN"
        " NIO NPR PHP PKR RSD RUB SRD THB TRY TWD UAH UYU VED VES VUV XPF YER",
        3: "AMD AOA ARS BIF CDF CLP CRC HUF IQD KMF KPW KRW KZT MMK MWK NGN RWF SDG SOS TZS XAF XOF",
        4: "COP GNF IDR KHR LAK MGA MNT PYG SSP SYP UGX UZS VND",
        5: "IRR LBP",
    }.items()
    for code in codes_in(codes)
}

_HIGHEST_DOLLARS_AS_POWER: Final = 6
MAX_AMOUNT: Final = 999_999_999_999
"""The most minor units that any amount may have: twelve digits, as card networks carry them."""


def exponent(currency: str) -> int:
    """Return the digits of a currency's minor unit: 2 for GBP, 0 for JPY, 3 for KWD.

    Raises: ``ValueError`` for a code that is no currency or fund of ISO 4217.
    """
    if currency not in _EXPONENTS:
        raise ValueError(f"{currency} is no currency of ISO 4217.")
    return _EXPONENTS[currency]


def step(currency: str) -> int:
    """Return the step of amounts in a currency, in minor units. Every price, discount and charge is a multiple of it.

    It is 10 where the minor unit has three digits and 100 for MGA, as no coin, card network or provider goes below.
    """
    return _STEPS.get(currency, 1)


def highest_amount(currency: str) -> int:
    """Return the highest amount that an operator can put: about 1,000,000 US dollars, in minor units.

    Twelve digits bound it, counted in hundredths where the minor unit is larger, as some providers do.
    """
    digits = _EXPONENTS[currency]
    by_value: int = 10 ** (_HIGHEST_DOLLARS_AS_POWER + _UNITS_PER_DOLLAR.get(currency, 0) + digits)
    by_digits: int = MAX_AMOUNT // 10 ** max(0, 2 - digits)
    return min(by_value, by_digits) // step(currency) * step(currency)


def amount_rule(amount: int, currency: str) -> str | None:
    """Return what an amount of 0 or more in a currency must be and is not, as the end of a sentence; None: nothing."""
    if currency not in CURRENCIES:
        return "must be in a currency of ISO 4217, such as GBP"
    if amount > highest_amount(currency):
        return f"must be {highest_amount(currency)} or less in {currency}"
    if amount % step(currency):
        return f"must be a multiple of {step(currency)} minor units in {currency}"
    return None
