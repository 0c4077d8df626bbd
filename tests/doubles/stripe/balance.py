"""The balance: transactions, fees and the settlement currency (B1 to B5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.doubles.stripe.clock import SECOND
from tests.doubles.stripe.currencies import to_settlement, wire_rate
from tests.doubles.stripe.state import Record, State


def post(
    state: State,
    kind: str,
    category: str,
    amount: int,
    currency: str,
    source: str | None,
    *,
    of_fee: int = 0,
    fixed_fee: int = 0,
    converted: int | None = None,
    description: str | None = None,
) -> Record:
    """Post one transaction, and return it.

    ``amount`` is in minor units of ``currency``. ``of_fee`` is the part of it that bears the payment fee. ``fixed_fee``
    and ``converted`` are in the settlement currency; ``converted`` overrides the present rate.
    """
    settlement, behaviour = state.behaviour.settlement_currency, state.behaviour
    gross = to_settlement(state, amount, currency) if converted is None else converted
    fees = []
    if of_fee:
        fee = to_settlement(state, of_fee, currency) * behaviour.fee_bps // 10_000 + behaviour.fee_fixed
        fees.append(_fee(fee, settlement, "stripe_fee", "Stripe processing fees"))
        if behaviour.fee_tax_bps:
            fees.append(_fee(fee * behaviour.fee_tax_bps // 10_000, settlement, "tax", "VAT"))
    if fixed_fee:
        fees.append(_fee(fixed_fee, settlement, "stripe_fee", "Dispute fee"))
    total_fee = sum(one["amount"] for one in fees)
    wait = behaviour.available_after if kind == "charge" else 0
    record = {
        "id": state.new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": gross,
        "available_on": (state.now + wait) // SECOND,
        "balance_type": "payments",
        "created": state.seconds,
        "currency": settlement,
        "description": description,
        "exchange_rate": None if currency == settlement else float(wire_rate(state, currency)),
        "fee": total_fee,
        "fee_details": fees,
        "net": gross - total_fee,
        "reporting_category": category,
        "source": source,
        "status": "pending" if wait else "available",
        "type": kind,
        "_payout": None,
    }
    posted = state.put(record)
    if wait:
        state.after(wait, _make_available, posted["id"])
    return posted


def _fee(amount: int, currency: str, kind: str, description: str) -> dict[str, Any]:
    return {"amount": amount, "application": None, "currency": currency, "description": description, "type": kind}


def _make_available(state: State, name: str) -> None:
    state.change(name, status="available")


def transactions(state: State) -> list[Record]:
    """Return all transactions, the oldest first."""
    return list(state.records["balance_transaction"].values())


def balance_of(state: State, status: str | None = None) -> int:
    """Return the sum of what transactions of a status brought; of all of them by default."""
    return sum(one["net"] for one in transactions(state) if status in {None, one["status"]})


def read_balance(state: State) -> Record:
    """Return the balance object."""
    currency = state.behaviour.settlement_currency

    def sums(status: str) -> list[Mapping[str, Any]]:
        amount = balance_of(state, status)
        return [{"amount": amount, "currency": currency, "source_types": {"card": amount}}]

    return {
        "object": "balance",
        "available": sums("available"),
        "livemode": state.behaviour.livemode,
        "pending": sums("pending"),
    }
