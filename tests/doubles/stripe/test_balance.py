"""The balance, its transactions and the currencies (B1 to B5, E5, E11)."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import capture, create, refusal_of
from tests.doubles.stripe.currencies import digits

DAY = 86_400


def _transactions(account: Account, **sent: Any) -> list[stripe.BalanceTransaction]:
    return list(account.client().v1.balance_transactions.list(sent).auto_paging_iter())  # type: ignore[arg-type]


def test_held_money_has_no_transaction_and_taken_money_has_one_after_some_seconds() -> None:
    account = Account()
    intent = create(account.client())
    assert _transactions(account) == []
    account.client().v1.payment_intents.capture(intent.id)
    account.advance(2)
    assert _transactions(account) == []
    account.advance(1)
    [only] = _transactions(account)
    assert (only.amount, only.fee, only.net, only.status) == (1_670, 45, 1_625, "pending")
    assert (only.source, only.exchange_rate) == (intent.latest_charge, None)
    assert [(one.type, one.amount) for one in only.fee_details] == [("stripe_fee", 45)]
    events = [one for one in account.records("event") if one["type"] == "charge.updated"]
    assert events[0]["data"]["object"]["balance_transaction"] == only.id


def test_money_is_available_after_three_days() -> None:
    account = Account(Behaviour(automatic_payouts=False))
    capture(account.client())
    account.advance(3)
    read = account.client().v1.balance.retrieve
    assert (read().pending[0].amount, read().available[0].amount) == (1_625, 0)
    [only] = _transactions(account)
    account.advance(3 * DAY)
    assert (read().pending[0].amount, read().available[0].amount) == (0, 1_625)
    assert _transactions(account)[0].available_on == only.available_on == only.created + 3 * DAY


def test_a_foreign_currency_is_settled_at_the_rate_of_the_day() -> None:
    account = Account(Behaviour(settlement_currency="eur", fee_tax_bps=2_000))
    account.set_rate("USD", "0.9")
    name = capture(account.client(), amount=10_000, currency="usd").id
    account.advance(3)
    account.state.rates["usd"] = "0.8"
    account.client().v1.refunds.create({"payment_intent": name, "amount": 5_000})
    refund, charge = _transactions(account)
    assert (charge.amount, charge.currency, charge.exchange_rate) == (9_000, "eur", 0.9)
    assert [(one.type, one.amount) for one in charge.fee_details] == [("stripe_fee", 155), ("tax", 31)]
    assert charge.net == 9_000 - 186
    account.state.rates["usd"] = "0.7"
    account.fail_refund(str(refund.source))
    assert _transactions(account)[0].amount == 4_000
    assert (refund.amount, refund.fee, refund.exchange_rate) == (-4_000, 0, 0.8)
    account.check_balance()


def test_the_rate_bridges_currencies_without_digits() -> None:
    account = Account(Behaviour(settlement_currency="eur"))
    account.state.rates["jpy"] = "0.0065"
    capture(account.client(), amount=1_000, currency="jpy")
    account.advance(3)
    [only] = _transactions(account)
    assert (only.amount, only.exchange_rate) == (650, 0.65)


@pytest.mark.parametrize(
    ("currency", "expected"), [("mga", 0), ("xpf", 0), ("isk", 2), ("ugx", 2), ("huf", 2), ("kwd", 3), ("gbp", 2)]
)
def test_digits_are_those_of_stripe_and_not_of_iso(currency: str, expected: int) -> None:
    assert digits(currency) == expected


@pytest.mark.parametrize(
    ("currency", "amount", "code"),
    [
        ("isk", 150_050, "invalid_charge_amount"),
        ("kwd", 10_005, "invalid_charge_amount"),
        ("gbp", 29, "amount_too_small"),
        ("gbp", 1_000_000_000_000, "amount_too_large"),
    ],
)
def test_an_amount_that_the_currency_cannot_have_is_refused(currency: str, amount: int, code: str) -> None:
    account = Account()
    account.state.rates |= {"isk": "0.0058", "kwd": "2.6"}
    error = refusal_of(lambda: create(account.client(), currency=currency, amount=amount))
    assert (error.code, error.param, error.http_status) == (code, "amount", 400)


def test_the_minimum_moves_with_the_rate() -> None:
    account = Account(Behaviour(settlement_currency="eur"))
    account.set_rate("USD", "0.9")
    assert create(account.client(), currency="usd", amount=56).status == "requires_capture"
    account.state.rates["usd"] = "0.8"
    error = refusal_of(lambda: create(account.client(), currency="usd", amount=56))
    assert error.code == "amount_too_small"
    assert "50 eur" in str(error)
    assert "45" in str(error)


def test_an_unknown_currency_is_refused() -> None:
    error = refusal_of(lambda: create(Account().client(), currency="xxx"))
    assert (error.http_status, error.code, error.param) == (400, None, "currency")


def test_transactions_are_filtered_and_expanded() -> None:
    account = Account()
    client = account.client()
    first = capture(client)
    account.advance(10)
    second = capture(client)
    account.advance(3)
    refund = client.v1.refunds.create({"payment_intent": first.id, "amount": 70})
    assert [one.type for one in _transactions(account)] == ["refund", "charge", "charge"]
    assert [one.source for one in _transactions(account, type="charge")] == [second.latest_charge, first.latest_charge]
    assert [one.amount for one in _transactions(account, source=refund.id)] == [-70]
    assert _transactions(account, currency="eur") == []
    since = account.now // 1_000 - 5
    assert len(_transactions(account, created={"gte": since})) == 2
    [expanded] = _transactions(account, source=first.latest_charge, expand=["data.source"])
    assert isinstance(expanded.source, stripe.Charge)
    assert expanded.source.payment_intent == first.id


def test_fees_and_unknown_kinds_belong_to_no_payment() -> None:
    account = Account()
    account.charge_fee(300)
    account.charge_fee(60, "VAT", kind="tax_fee")
    account.charge_fee(-5, "a new kind", kind="climate_order_refund")
    rows = [(one.type, one.reporting_category, one.net, one.source) for one in _transactions(account)]
    assert rows == [
        ("climate_order_refund", "other_adjustment", 5, None),
        ("tax_fee", "tax", -60, None),
        ("stripe_fee", "fee", -300, None),
    ]
    account.check_balance()
