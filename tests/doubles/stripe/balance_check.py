"""The double's own invariant: each money move has one transaction, and the balance is their sum."""

from __future__ import annotations

from collections import Counter

from tests.doubles.stripe.balance import balance_of, transactions
from tests.doubles.stripe.state import Record, State

_ENDED = frozenset({"failed", "canceled"})


def check_balance(state: State) -> None:
    """Check all transactions against the objects that moved money.

    Raises: ``AssertionError`` with the object that is wrong.
    """
    posted = transactions(state)
    claimed = Counter(_claims(state))
    assert all(times == 1 for times in claimed.values()), f"Claimed twice: {claimed}"
    for one in posted:
        assert one["net"] == one["amount"] - one["fee"], one
        assert one["fee"] == sum(fee["amount"] for fee in one["fee_details"]), one
        has_owner = one["source"] is not None
        assert has_owner == (one["id"] in claimed) or one["type"] == "stripe_fee", f"Nobody moved {one}"
    assert set(claimed) <= {one["id"] for one in posted}
    payouts = [one for one in state.records["payout"].values() if one["status"] not in _ENDED]
    paid_out = sum(one["amount"] for one in payouts)
    earned = sum(one["net"] for one in posted if one["type"] not in {"payout", "payout_failure"})
    assert earned == balance_of(state, "available") + balance_of(state, "pending") + paid_out
    for charge in state.records["charge"].values():
        _check_charge(state, charge, posted)


def _claims(state: State) -> list[str]:
    """Return the transaction of each move of money that has one."""
    claims = [one["balance_transaction"] for one in state.records["charge"].values()]
    for kind in ("refund", "payout"):
        for one in state.records[kind].values():
            claims += [one["balance_transaction"], one.get("failure_balance_transaction")]
    for dispute in state.records["dispute"].values():
        claims += [one["id"] for one in dispute["balance_transactions"]]
        claims.append(dispute["_countered"])
    return [one for one in claims if one is not None]


def _check_charge(state: State, charge: Record, posted: list[Record]) -> None:
    refunds = [one for one in state.records["refund"].values() if one["charge"] == charge["id"]]
    live = [one for one in refunds if one["status"] not in _ENDED]
    assert charge["amount_refunded"] == sum(one["amount"] for one in live), charge
    assert charge["amount_refunded"] <= charge["amount"], charge
    names = {charge["id"], *(one["id"] for one in refunds)}
    moved = [one for one in posted if one["source"] in names]
    if not charge["captured"]:
        assert not moved, f"Held money has a transaction: {moved}"
        return
    if charge["balance_transaction"] is None or charge["currency"] != state.behaviour.settlement_currency:
        return
    paid = [one for one in live if one["balance_transaction"]]
    expected = charge["amount"] - sum(one["amount"] for one in paid)
    assert sum(one["amount"] for one in moved) == expected, f"{charge['id']} moved {moved}"
