"""The money of an order as its provider has it, for operators: never a guess from the order's own state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.instants import Instant
from chalicelib.payments import Authorised, Captured, OutcomeUnknownError, ProviderBusyError
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.model import Purchase


class MoneyState(StrEnum):
    """The money of an order at its provider. ``UNKNOWN``: the provider does not say at this moment."""

    NOTHING = "nothing"
    RESERVED = "reserved"
    CAPTURED = "captured"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProviderMoney:
    """The money of an order's present attempt at the provider, in minor units of ``currency``."""

    state: MoneyState
    currency: str
    amount: int = 0
    refunded: int = 0

    def sentence(self) -> str:
        """Return a sentence for an operator."""
        match self.state:
            case MoneyState.NOTHING:
                return "The payment provider has reserved nothing."
            case MoneyState.RESERVED:
                return f"The payment provider has reserved {self.amount} {self.currency} (minor units)."
            case MoneyState.CAPTURED:
                returned = f", of which {self.refunded} are refunded" if self.refunded else ""
                return f"The payment provider has captured {self.amount} {self.currency} (minor units){returned}."
            case MoneyState.UNKNOWN:
                return "The payment provider does not say at this moment what it has reserved or captured."


def money_at_provider(context: CheckoutContext, purchase: Purchase, now: Instant) -> ProviderMoney:
    """Ask the provider what it has of an order's present attempt. None for an order without amount.

    One call where the payment's id is known; else a search, and the provider's list since the order was placed. The
    answer is about this instant: a worker may go on with the payment meanwhile.
    """
    total, currency, payment = purchase.totals.total, purchase.currency, purchase.payment
    if total == 0 or payment is None:
        return ProviderMoney(MoneyState.NOTHING, currency)
    try:
        found = context.gateway.find(
            purchase.id,
            purchase.attempt,
            now=now,
            provider_id=payment.provider_id,
            since=now,
            began_at=purchase.placed_at,
        )
    except (OutcomeUnknownError, ProviderBusyError):
        return ProviderMoney(MoneyState.UNKNOWN, currency)
    match found:
        case Captured(amount=amount, refunded=refunded):
            return ProviderMoney(MoneyState.CAPTURED, currency, total if amount is None else amount, refunded)
        case Authorised():
            return ProviderMoney(MoneyState.RESERVED, currency, total)
    return ProviderMoney(MoneyState.NOTHING, currency)
