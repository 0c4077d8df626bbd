"""Payouts: daily by themselves, or when asked; and those that fail after they were paid (B6, B7, B9)."""

from __future__ import annotations

from typing import Final

from tests.doubles.stripe.balance import post, transactions
from tests.doubles.stripe.clock import DAY, SECOND
from tests.doubles.stripe.currencies import WHOLE_PAYOUTS
from tests.doubles.stripe.events import emit
from tests.doubles.stripe.state import Record, State

_WHOLE: Final = 100


def start_payouts(state: State) -> None:
    """Plan the first automatic payout, at the next midnight UTC."""
    if state.behaviour.automatic_payouts:
        state.after(DAY - state.now % DAY, _pay_daily)


def _pay_daily(state: State) -> None:
    pay_out(state)
    state.after(DAY, _pay_daily)


def pay_out(
    state: State, *, automatic: bool = True, method: str = "standard", amount: int | None = None
) -> Record | None:
    """Pay out the available balance; None when there is none.

    Only an automatic payout knows its transactions (B7, D).
    """
    waiting = [one for one in transactions(state) if one["status"] == "available" and one["_payout"] is None]
    available = sum(one["net"] for one in waiting)
    if amount is not None and not automatic:
        available = min(available, amount)
    if available == 0 or (available < 0 and not state.behaviour.negative_payouts):
        return None
    currency = state.behaviour.settlement_currency
    payout = state.put(_record(state, automatic, method, currency))
    if automatic:
        for one in waiting:
            state.change(one, _payout=payout["id"])
    if currency in WHOLE_PAYOUTS and available % _WHOLE:
        rest = available % _WHOLE
        held = post(state, "payout_minimum_balance_hold", "payout_minimum_balance_hold", -rest, currency, None)
        state.change(held, _payout=payout["id"] if automatic else None)
        post(state, "payout_minimum_balance_release", "payout_minimum_balance_release", rest, currency, None)
        available -= rest
    posted = post(state, "payout", "payout", -available, currency, payout["id"])
    state.change(posted, _payout=payout["id"] if automatic else None)
    payout = state.change(payout, amount=available, balance_transaction=posted["id"])
    emit(state, "payout.created", payout)
    state.after(DAY // 2, _in_transit, payout["id"])
    state.after(state.behaviour.payout_arrives_after, _paid, payout["id"])
    if automatic:
        state.after(state.behaviour.payout_reconciled_after, _reconciled, payout["id"])
    return state.get(payout["id"])


def _record(state: State, automatic: bool, method: str, currency: str) -> dict[str, object]:
    return {
        "id": state.new_id("payout"),
        "object": "payout",
        "amount": 0,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": (state.now + state.behaviour.payout_arrives_after) // SECOND,
        "automatic": automatic,
        "balance_transaction": None,
        "created": state.seconds,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": "ba_double",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": state.behaviour.livemode,
        "metadata": {},
        "method": method,
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress" if automatic else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": None,
        "type": "bank_account",
    }


def _in_transit(state: State, name: str) -> None:
    if state.get(name)["status"] == "pending":
        emit(state, "payout.updated", state.change(name, status="in_transit"))


def _paid(state: State, name: str) -> None:
    if state.get(name)["status"] in {"pending", "in_transit"}:
        emit(state, "payout.paid", state.change(name, status="paid"))


def _reconciled(state: State, name: str) -> None:
    payout = state.change(name, reconciliation_status="completed")
    emit(state, "payout.reconciliation_completed", payout)


def fail_payout(state: State, name: str, code: str = "account_closed") -> Record:
    """Let a payout fail, even one that was paid. The sum returns to the balance (B6, S)."""
    payout = state.get(name)
    if payout["status"] == "failed":
        return payout
    posted = post(state, "payout_failure", "payout_reversal", payout["amount"], payout["currency"], name)
    payout = state.change(
        payout,
        status="failed",
        failure_code=code,
        failure_message="The bank account was closed.",
        failure_balance_transaction=posted["id"],
    )
    emit(state, "payout.failed", payout)
    return payout
