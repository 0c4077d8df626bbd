"""The movements of the shop's balance at Stripe (balance transactions).

Source: https://docs.stripe.com/api/balance_transactions/object and
https://docs.stripe.com/reports/reporting-categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from chalicelib.currencies import exponent
from chalicelib.instants import SECOND, Instant
from chalicelib.payments.gateway import OutcomeUnknownError
from chalicelib.payments.results import Movement, MovementKind
from chalicelib.payments.stripe.calls import StripeCalls
from chalicelib.payments.stripe.currencies import balance_amount
from chalicelib.payments.stripe.errors import Call
from chalicelib.payments.stripe.intents import attempt_in
from chalicelib.payments.stripe.lookup import IntentLookup, pages

_KIND_OF_CATEGORY: Final = {
    "charge": MovementKind.CHARGE,
    "refund": MovementKind.REFUND,
    "refund_failure": MovementKind.REFUND_FAILED,
    "partial_capture_reversal": MovementKind.HOLD_RELEASED,
    "dispute": MovementKind.DISPUTE,
    "dispute_reversal": MovementKind.DISPUTE_REVERSED,
    "fee": MovementKind.FEE,
    "tax": MovementKind.FEE,
    "network_cost": MovementKind.FEE,
    "payout": MovementKind.PAYOUT,
    "payout_reversal": MovementKind.PAYOUT_FAILED,
}
"""Any other category is ``OTHER``: a movement of a kind that is not known still changes the balance."""
_DEBITS: Final = frozenset({MovementKind.REFUND, MovementKind.HOLD_RELEASED, MovementKind.DISPUTE})
"""Kinds that take from the balance. A small movement may settle to 0, and then only its kind has a sign."""
_CHECKED_BY_RATE: Final = frozenset({MovementKind.CHARGE, MovementKind.REFUND})
_RATE_TOLERANCE: Final = Decimal("0.01")
"""The part by which a converted movement may differ from its source: Stripe rounds both rate and amount."""
_SOURCES_OF_PAYMENTS: Final = frozenset({"charge", "refund", "dispute"})


class StripeBalance:
    """Read movements, each with the purchase that it is for."""

    def __init__(self, calls: StripeCalls, lookup: IntentLookup, mark: str) -> None:
        self._calls, self._lookup, self._mark = calls, lookup, mark

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        """Yield the movements from ``since`` up to ``until``, which is left out. The newest is first.

        Costs a call for each hundred, and one for each payment whose refunds or disputes moved without its charge.
        """
        created = {"gte": -(-since // SECOND), "lt": -(-until // SECOND)}
        query = {"created": created, "expand": ["data.source"]}
        known: dict[str, tuple[str, int] | None] = {}
        for page in pages(self._calls, Call.LIST_MOVEMENTS, "balance_transactions", query):
            for entry in page:
                yield self._to_movement(entry, known)

    def balance(self) -> dict[str, int]:
        """Return the balance by currency: what is available, and what Stripe still holds back. One call.

        Raises: OutcomeUnknownError, ProviderBusyError.
        """
        found = self._calls.read(Call.READ_BALANCE, lambda api: api.balance.retrieve())
        if found is None:
            raise OutcomeUnknownError("The account has no balance.")
        sums: dict[str, int] = {}
        for part in (*found.available, *found.pending):
            currency = part.currency.upper()
            sums[currency] = sums.get(currency, 0) + balance_amount(part.amount, currency)
        return sums

    def _to_movement(self, entry: Any, known: dict[str, tuple[str, int] | None]) -> Movement:
        source = entry.source
        source_type = getattr(source, "object", None)
        is_of_payment = source_type in _SOURCES_OF_PAYMENTS
        payment_id = getattr(source, "payment_intent", None) if is_of_payment else None
        about = self._attempt_of(source, payment_id, known) if is_of_payment else None
        category = getattr(entry, "reporting_category", None) or entry.type
        currency = entry.currency.upper()
        kind = _KIND_OF_CATEGORY.get(category, MovementKind.OTHER)
        charged = _charged(entry, source, kind) if is_of_payment else None
        rate = getattr(entry, "exchange_rate", None)
        return Movement(
            id=entry.id,
            provider="stripe",
            kind=kind,
            provider_type=category,
            amount=balance_amount(entry.amount, currency),
            fee=balance_amount(entry.fee, currency),
            currency=currency,
            created_at=entry.created * SECOND,
            source_id=source if isinstance(source, str) else getattr(source, "id", None),
            payment_id=payment_id,
            purchase_id=about[0] if about else None,
            attempt=about[1] if about else None,
            is_foreign=is_of_payment and about is None,
            charged_amount=charged[0] if charged else None,
            charged_currency=charged[1] if charged else None,
            conversion_rate=str(rate) if rate is not None else None,
        )

    def _attempt_of(
        self, source: Any, payment_id: str | None, known: dict[str, tuple[str, int] | None]
    ) -> tuple[str, int] | None:
        """Return what a charge, refund or dispute is for: by the charge's metadata, else by the payment's intent."""
        if source.object == "charge":
            about = attempt_in(source.metadata, self._mark)
            if about is not None or payment_id is None:
                return about
        if payment_id is None:
            return None
        if payment_id not in known:
            known[payment_id] = self._lookup.purchase_of(payment_id)
        return known[payment_id]


def _charged(entry: Any, source: Any, kind: MovementKind) -> tuple[int, str] | None:
    """Return what moved, in the buyer's currency and with the sign of the movement.

    Settled in that currency, it is the movement's own amount. Otherwise it is the source's, unless the movement's rate
    leads from it to another amount: then it is the movement's amount at that rate. None for a payment of other software
    in a currency that the product does not know.
    """
    currency = source.currency.upper()
    try:
        exponent(currency)
    except ValueError:
        return None
    if entry.currency == source.currency:
        amount = abs(entry.amount)
    else:
        amount = _amount_at_rate(entry, source) if kind in _CHECKED_BY_RATE else source.amount
    is_credit = entry.amount > 0 or (entry.amount == 0 and kind not in _DEBITS)
    rounded = balance_amount(amount, currency)  # a fraction as the objects have it, which have no sign
    return (rounded if is_credit else -rounded), currency


def _amount_at_rate(entry: Any, source: Any) -> int:
    """Return a converted movement in the source's currency and units: the source's amount where the rate leads to it.

    Between currencies of unequal units it is the source's too: Stripe does not document their rate.
    """
    rate = Decimal(str(getattr(entry, "exchange_rate", None) or 0))
    if not rate or exponent(source.currency.upper()) != exponent(entry.currency.upper()):
        return int(source.amount)
    settled = source.amount * rate
    if abs(abs(entry.amount) - settled) <= 1 + settled * _RATE_TOLERANCE:
        return int(source.amount)
    return int((abs(entry.amount) / rate).to_integral_value())
