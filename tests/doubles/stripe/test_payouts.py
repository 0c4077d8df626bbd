"""Payouts (B6, B7, B9)."""

from __future__ import annotations

import pytest

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import capture

DAY = 86_400


@pytest.fixture
def account() -> Account:
    """Return an account with one payment, whose money is available at noon of the third day."""
    account = Account(Behaviour(twin_event_every=0))
    capture(account.client())
    return account


def _types(account: Account) -> list[str]:
    return [one["type"] for one in account.records("event") if one["type"].startswith("payout")]


def test_a_daily_payout_is_paid_and_then_fails(account: Account) -> None:
    client = account.client()
    account.advance(4 * DAY)
    [payout] = client.v1.payouts.list().data
    assert (payout.amount, payout.automatic, payout.status) == (1_625, True, "pending")
    assert payout.created % DAY == 0
    assert payout.reconciliation_status == "completed"
    account.advance(DAY // 2)
    assert client.v1.payouts.retrieve(payout.id).status == "in_transit"
    account.advance(2 * DAY)
    assert client.v1.payouts.retrieve(payout.id).status == "paid"
    account.check_balance()
    account.fail_payout(payout.id)
    failed = client.v1.payouts.retrieve(payout.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    returned = failed.failure_balance_transaction
    assert returned.amount == 1_625  # type: ignore[union-attr]
    assert returned.reporting_category == "payout_reversal"  # type: ignore[union-attr]
    assert client.v1.balance.retrieve().available[0].amount == 1_625
    account.check_balance()
    account.advance(DAY)
    assert [one.amount for one in client.v1.payouts.list().data] == [1_625, 1_625]
    assert _types(account)[:5] == [
        "payout.created",
        "payout.reconciliation_completed",
        "payout.updated",
        "payout.paid",
        "payout.failed",
    ]


def test_the_transactions_of_a_payout_are_known_when_it_is_reconciled(account: Account) -> None:
    client = account.client()
    while not account.records("payout"):
        account.advance(3_600)
    payout = account.records("payout")[0]["id"]
    assert client.v1.balance_transactions.list({"payout": payout}).data == []
    account.advance(6 * 3_600)
    rows = client.v1.balance_transactions.list({"payout": payout}).data
    assert [(one.type, one.net) for one in rows] == [("payout", -1_625), ("charge", 1_625)]
    assert sum(one.net for one in rows) == 0


def test_a_manual_payout_has_no_known_transactions() -> None:
    account = Account(Behaviour(automatic_payouts=False))
    capture(account.client())
    account.advance(4 * DAY)
    payout = account.payout_now()
    assert payout is not None
    assert payout["reconciliation_status"] == "not_applicable"
    account.advance(DAY)
    assert account.client().v1.balance_transactions.list({"payout": payout["id"]}).data == []
    assert account.payout_now() is None
    account.check_balance()


def test_a_part_is_paid_out_by_hand_and_the_rest_by_itself(account: Account) -> None:
    account.advance(3 * DAY + 3)
    account.payout_now(amount=600)
    account.advance(DAY)
    assert [one["amount"] for one in account.records("payout")] == [600, 1_025]
    account.check_balance()


@pytest.mark.parametrize("debits", [True, False])
def test_a_negative_balance_is_debited_from_the_bank(debits: bool) -> None:
    account = Account(Behaviour(negative_payouts=debits))
    name = capture(account.client()).id
    account.advance(3)
    account.console_refund(name)
    account.advance(DAY)
    assert [one["amount"] for one in account.records("payout")] == ([-1_670] if debits else [])
    account.check_balance()


def test_payouts_of_forints_are_whole() -> None:
    account = Account(Behaviour(settlement_currency="huf"))
    capture(account.client(), currency="huf", amount=2_000_050)
    account.advance(4 * DAY)
    [payout] = account.records("payout")
    net = 2_000_050 - 2_000_050 * 150 // 10_000 - 20
    assert (payout["amount"], net % 100) == (net // 100 * 100, 30)
    assert account.client().v1.balance.retrieve().available[0].amount == 30
    rows = account.client().v1.balance_transactions.list({"payout": payout["id"]}).data
    assert sum(one.net for one in rows) == 0
    account.check_balance()


def test_a_day_without_money_has_no_payout() -> None:
    account = Account()
    account.advance(30 * DAY)
    assert account.records("payout") == []
