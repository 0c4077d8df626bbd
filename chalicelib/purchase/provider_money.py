"""The money of an order as its provider has it, for operators: never a guess from the order's own state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.instants import Instant
from chalicelib.payments import Authorised, Captured, MovementKind, OutcomeUnknownError, ProviderBusyError
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
    """The money of a purchase at the provider, in minor units of ``currency``: first of its present attempt."""

    state: MoneyState
    currency: str
    amount: int = 0
    refunded: int = 0
    kept: int | None = 0
    """Captured and not refunded money of the purchase's other payments, which pay for nothing. None: unknown."""

    def sentence(self) -> str:
        """Return what an operator has to know, in a sentence or two."""
        if self.kept is None:
            return f"{self._of_attempt()} It does not say what earlier payments of the purchase hold."
        if self.kept:
            kept = f"{self.kept} {self.currency} (minor units) of other payments of the purchase"
            return f"{self._of_attempt()} It also keeps {kept}, which pay for nothing: refund them at the provider."
        return self._of_attempt()

    def _of_attempt(self) -> str:
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
    """Ask the provider what it has of a purchase: of its present attempt, and of earlier payments that moved money.

    One call where the payment's id is known; else a search, and the provider's list since the order was placed. The
    stored movements name the earlier payments: one query, and one call for each of them. The answer is about this
    instant: a worker may go on with the payment meanwhile.
    """
    present = _of_present_attempt(context, purchase, now)
    return replace(present, kept=_kept_by_others(context, purchase, now))


def _kept_by_others(context: CheckoutContext, purchase: Purchase, now: Instant) -> int | None:
    """Return what payments of earlier attempts hold, and second payments of the present one; None if unknown."""
    chosen, provider = purchase.payment.provider_id if purchase.payment else None, context.gateway.name
    moved = [
        one for one in context.movements.of_purchase(purchase.id) if one.provider == provider and not one.is_foreign
    ]
    charged = {one.payment_id: one.attempt for one in moved if one.kind is MovementKind.CHARGE}
    kept = 0
    for payment_id, attempt in charged.items():
        if payment_id in {None, chosen} or attempt is None or (chosen is None and attempt == purchase.attempt):
            continue
        try:
            found = context.gateway.find(purchase.id, attempt, now=now, provider_id=payment_id)
        except (OutcomeUnknownError, ProviderBusyError):
            return None
        if isinstance(found, Captured):
            kept += found.amount - found.refunded
    return kept


def _of_present_attempt(context: CheckoutContext, purchase: Purchase, now: Instant) -> ProviderMoney:
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
            return ProviderMoney(MoneyState.CAPTURED, currency, amount, refunded)
        case Authorised():
            return ProviderMoney(MoneyState.RESERVED, currency, total)
    return ProviderMoney(MoneyState.NOTHING, currency)
