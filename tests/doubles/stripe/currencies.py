"""Amounts by currency: digits, whole units, least and greatest amounts (D currencies, S)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.state import State


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


ZERO_DECIMAL: Final = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
"""No digits at Stripe. ISO gives MGA two."""
THREE_DECIMAL: Final = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
"""Three digits, the last of which is 0."""
HUNDREDS_ONLY: Final = frozenset(("isk", "ugx"))
"""Two digits on the wire, which are always 00. ISO gives them none."""
WHOLE_PAYOUTS: Final = frozenset(("huf", "twd"))
"""Two digits for charges, whole units for payouts (B9)."""
TWO_DECIMAL: Final = (
    _codes("aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny")
    | _codes("cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd")
    | _codes("kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok")
    | _codes("npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top")
    | _codes("try ttd twd tzs uah usd uyu uzs wst xcd yer zar zmw")
)
SUPPORTED: Final = ZERO_DECIMAL | THREE_DECIMAL | HUNDREDS_ONLY | TWO_DECIMAL

MINIMUM: Final = {
    **dict.fromkeys(_codes("usd eur aud brl cad chf inr nzd sgd ars cop idr ils php rub zar"), 50),
    "gbp": 30,
    **dict.fromkeys(("aed", "myr", "pln", "ron"), 200),
    "dkk": 250,
    "nok": 300,
    "sek": 300,
    "hkd": 400,
    "mxn": 1_000,
    "thb": 1_000,
    "czk": 1_500,
    "jpy": 50,
    "krw": 50,
    "huf": 17_500,
}
"""The least charge, in minor units of the settlement currency, after conversion."""
MAX_CARD_AMOUNT: Final = 999_999_999_999
"""Cards take 12 digits."""


def digits(currency: str) -> int:
    """Return how many digits Stripe's minor unit has."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def wire_rate(state: State, currency: str) -> Decimal:
    """Return by what an amount in minor units is multiplied to get minor units of the settlement currency (B1, S)."""
    settlement = state.behaviour.settlement_currency
    if currency == settlement:
        return Decimal(1)
    return Decimal(state.rates.get(currency, "1")).scaleb(digits(settlement) - digits(currency))


def to_settlement(state: State, amount: int, currency: str) -> int:
    """Convert an amount into the settlement currency at the present rate."""
    return int((amount * wire_rate(state, currency)).quantize(Decimal(1), ROUND_HALF_UP))


def check_amount(state: State, amount: int, currency: str) -> None:
    """Refuse an amount that Stripe does not charge in this currency (E5, D)."""
    if currency in HUNDREDS_ONLY and amount % 100:
        raise refusal("invalid_charge_amount", message=f"Amounts in {currency.upper()} must be divisible by 100.")
    if currency in THREE_DECIMAL and amount % 10:
        raise refusal("invalid_charge_amount", message=f"Amounts in {currency.upper()} must be divisible by 10.")
    if amount > MAX_CARD_AMOUNT:
        raise refusal("amount_too_large", message="Amount must be no more than 999,999,999,999.")
    settlement = state.behaviour.settlement_currency
    minimum, converted = MINIMUM.get(settlement, 50), to_settlement(state, amount, currency)
    if converted < minimum:
        message = f"The Checkout total must convert to at least {minimum} {settlement}; {amount} {currency} converts to"
        raise refusal("amount_too_small", message=f"{message} approximately {converted}.")


def check_currency(currency: str) -> None:
    """Refuse a currency that Stripe does not take (E11, D)."""
    if currency not in SUPPORTED:
        raise refusal("currency_not_supported", message=f"Invalid currency: {currency}.")
