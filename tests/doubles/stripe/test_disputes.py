"""Disputes, inquiries and warnings (D1 to D10)."""

from __future__ import annotations

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import capture, event_types

DAY = 86_400


@pytest.fixture
def account() -> Account:
    return Account(Behaviour(automatic_payouts=False, twin_event_every=0))


def _paid(account: Account, token: str = "pm_card_visa") -> str:
    name = str(capture(account.client(), token, amount=3_000).id)
    account.advance(3)
    return name


def _moves(account: Account) -> list[tuple[str, str, int, int, str | None]]:
    """Return type, category, amount, fee and source of all transactions but the charge's."""
    rows = account.records("balance_transaction")[1:]
    return [(one["type"], one["reporting_category"], one["amount"], one["fee"], one["source"]) for one in rows]


def _sent(account: Account) -> list[str]:
    return [kind for kind in event_types(account) if "dispute" in kind]


def test_a_chargeback_takes_the_sum_and_a_fee(account: Account) -> None:
    name = _paid(account)
    opened = account.open_dispute(name)
    dispute = account.client().v1.disputes.retrieve(opened["id"])
    assert (dispute.status, dispute.amount, dispute.is_charge_refundable) == ("needs_response", 3_000, False)
    assert (dispute.payment_intent, dispute.metadata.to_dict()) == (name, {})
    [withdrawn] = dispute.balance_transactions
    assert (withdrawn.amount, withdrawn.fee, withdrawn.net) == (-3_000, 2_000, -5_000)
    assert _moves(account) == [("adjustment", "dispute", -3_000, 2_000, dispute.id)]
    assert _sent(account) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert account.records("charge")[0]["disputed"] is True
    account.check_balance()


def test_a_dispute_that_is_won_brings_the_sum_and_the_countered_fee(account: Account) -> None:
    name = account.open_dispute(_paid(account))["id"]
    account.submit_evidence(name)
    account.advance(14 * DAY)
    account.win_dispute(name)
    dispute = account.client().v1.disputes.retrieve(name)
    assert (dispute.status, len(dispute.balance_transactions)) == ("won", 2)
    assert _moves(account) == [
        ("adjustment", "dispute", -3_000, 2_000, name),
        ("stripe_fee", "fee", -2_000, 0, None),
        ("adjustment", "dispute_reversal", 3_000, 0, name),
        ("stripe_fee", "fee", 2_000, 0, None),
    ]
    assert _sent(account)[2:] == [
        "charge.dispute.updated",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    ]
    refund = account.client().v1.refunds.create({"payment_intent": str(dispute.payment_intent)})
    assert refund.amount == 3_000
    account.check_balance()


def test_a_dispute_without_evidence_is_lost_when_it_is_due(account: Account) -> None:
    name = account.open_dispute(_paid(account))["id"]
    due_by = account.get(name)["evidence_details"]["due_by"]
    assert due_by == account.now // 1_000 + 14 * DAY
    account.advance(14 * DAY)
    assert account.get(name)["status"] == "lost"
    assert account.get(name)["evidence_details"]["past_due"] is True
    assert len(_moves(account)) == 1
    assert _sent(account)[-1] == "charge.dispute.closed"


def test_the_countered_fee_comes_weeks_later_without_its_dispute(account: Account) -> None:
    name = account.open_dispute(_paid(account))["id"]
    account.submit_evidence(name)
    account.advance(14 * DAY - 1)
    assert len(_moves(account)) == 1
    account.advance(1)
    fee = account.records("balance_transaction")[-1]
    assert (fee["type"], fee["net"], fee["source"]) == ("stripe_fee", -2_000, None)
    assert fee["description"] == "Card dispute countered fee (2026-12-02)"
    account.advance(60 * DAY)
    assert account.get(name)["status"] == "lost"
    account.check_balance()


def test_an_inquiry_moves_no_money_and_closes_by_itself(account: Account) -> None:
    name = account.open_dispute(_paid(account), inquiry=True)["id"]
    assert account.get(name)["status"] == "warning_needs_response"
    assert _sent(account) == ["charge.dispute.created"]
    account.advance(120 * DAY)
    assert account.get(name)["status"] == "warning_closed"
    assert _moves(account) == []
    assert _sent(account) == ["charge.dispute.closed"]


def test_an_inquiry_becomes_a_chargeback(account: Account) -> None:
    name = account.open_dispute(_paid(account), inquiry=True)["id"]
    assert account.client().v1.disputes.retrieve(name).is_charge_refundable
    account.submit_evidence(name)
    account.advance(15 * DAY)
    assert (account.get(name)["status"], _moves(account)) == ("warning_under_review", [])
    account.escalate_inquiry(name)
    assert account.get(name)["status"] == "needs_response"
    assert _moves(account) == [("adjustment", "dispute", -3_000, 2_000, name)]
    assert len(account.records("dispute")) == 1
    account.advance(120 * DAY)
    assert account.get(name)["status"] == "lost"


def test_a_full_refund_ends_an_inquiry(account: Account) -> None:
    paid = _paid(account)
    name = account.open_dispute(paid, inquiry=True)["id"]
    client = account.client()
    client.v1.refunds.create({"payment_intent": paid, "amount": 1_000})
    assert account.get(name)["status"] == "warning_needs_response"
    client.v1.refunds.create({"payment_intent": paid})
    assert account.get(name)["status"] == "warning_closed"


def test_a_charge_may_have_two_disputes_of_other_sums(account: Account) -> None:
    paid = _paid(account)
    for amount in (1_000, 3_500):
        account.open_dispute(paid, amount=amount, reason="product_not_received")
    listed = account.client().v1.disputes.list({"payment_intent": paid}).data
    assert [one.amount for one in listed] == [3_500, 1_000]
    account.check_balance()


def test_a_network_may_allow_no_answer(account: Account) -> None:
    dispute = account.open_dispute(_paid(account), answerable=False)
    assert (dispute["status"], dispute["evidence_details"]["due_by"]) == ("lost", None)
    assert _sent(account)[-1] == "charge.dispute.closed"


def test_a_prevented_dispute_moves_nothing(account: Account) -> None:
    dispute = account.open_dispute(_paid(account), prevented=True)
    assert (dispute["status"], _moves(account)) == ("prevented", [])


def test_a_buyer_withdraws(account: Account) -> None:
    name = account.open_dispute(_paid(account))["id"]
    assert account.withdraw_dispute(name)["status"] == "won"
    account.advance(30 * DAY)
    assert [move[1] for move in _moves(account)] == ["dispute", "dispute_reversal"]
    account.check_balance()


@pytest.mark.parametrize(
    ("card", "status"), [("createDispute", "needs_response"), ("createDisputeInquiry", "warning_needs_response")]
)
def test_a_card_brings_a_dispute_a_day_later(account: Account, card: str, status: str) -> None:
    _paid(account, f"pm_card_{card}")
    account.advance(DAY - 4)
    assert account.records("dispute") == []
    account.advance(2)
    assert [one["status"] for one in account.records("dispute")] == [status]


def test_a_dispute_is_settled_at_the_rate_of_its_day() -> None:
    account = Account(Behaviour(settlement_currency="eur"))
    account.state.rates["usd"] = "0.9"
    paid = capture(account.client(), amount=10_000, currency="usd").id
    account.advance(3)
    account.state.rates["usd"] = "0.95"
    name = account.open_dispute(paid)["id"]
    account.state.rates["usd"] = "0.5"
    account.win_dispute(name)
    amounts = [one["amount"] for one in account.records("balance_transaction")]
    assert amounts == [9_000, -9_500, 9_500]
    account.check_balance()


def test_a_warning_may_come_after_the_dispute(account: Account) -> None:
    paid = _paid(account, "pm_card_earlyFraudWarning")
    account.open_dispute(paid)
    account.advance(DAY)
    [warning] = account.records("radar.early_fraud_warning")
    assert (warning["payment_intent"], warning["actionable"]) == (paid, True)
    assert event_types(account)[-1] == "radar.early_fraud_warning.created"


def test_a_dispute_closes_the_review(account: Account) -> None:
    paid = _paid(account, "pm_card_review")
    account.open_dispute(paid)
    [review] = account.records("review")
    assert (review["open"], review["closed_reason"]) == (False, "disputed")
    retrieved = account.client().v1.reviews.retrieve(review["id"])
    assert isinstance(retrieved, stripe.Review)
