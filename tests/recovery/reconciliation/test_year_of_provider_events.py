"""A year of a provider's life, replayed at random, leaves ledger, clearing and balance equal to the minor unit."""

from __future__ import annotations

import os
from collections import defaultdict

import pytest

from chalicelib.finance import entries_of, movement_entry
from chalicelib.purchase import PurchaseState
from tests.crashes.crash_world import TIME_ZONE
from tests.recovery.reconciliation.year_of_provider import YearOfProvider

DAYS = int(os.environ.get("LIVEDROP_DAYS", "30"))
ORDERS_A_DAY = 8 if DAYS <= 60 else 3


HAPPENED = (
    "refund", "refund_in_console", "fail_refund", "open_dispute", "go_on_with_dispute", "pay_by_other_software",
    "win_dispute", "lose_dispute", "fail_payout", "payout_now", "events lost", "ledger messages lost", "runs cut short",
    "refunds recorded at night",
)  # fmt: skip
"""Each of these has to happen in a run, so that the run shows anything."""


@pytest.mark.parametrize(("settlement", "seed"), [("gbp", 1), ("eur", 2)])
def test_ledger_clearing_and_balance_agree_whatever_happens_at_the_provider(settlement: str, seed: int) -> None:
    year = YearOfProvider(seed, settlement, mean_orders=ORDERS_A_DAY)
    year.open_day()
    year.live(DAYS)
    report = year.settle()
    assert min(year.seen[what] for what in HAPPENED) > 0, year.seen
    _check_movements(year)
    _check_ledger(year)
    assert report.comparison is not None
    assert report.comparison.differences == []
    assert report.statement is not None
    (row,) = report.statement
    balance = year.context.gateway.balance(year.now)
    assert {row.currency: row.clearing} == balance == {settlement.upper(): year.under_way()}
    _check_orders(year)


def _check_movements(year: YearOfProvider) -> None:
    """Every movement of the account is stored, once."""
    at_provider = {one["id"]: one["net"] for one in year.account.records("balance_transaction")}
    stored = list(year.context.movements.scan())
    assert len(stored) == len(at_provider)
    assert {movement.id: movement.net for movement in stored} == at_provider


def _check_ledger(year: YearOfProvider) -> None:
    """The ledger has exactly the entries that follow from orders and movements, and its clearing is the balance."""
    ledger = year.ledger()
    assert ledger.conflicts == set()
    movements = list(year.context.movements.scan())
    expected = {entry.id: entry for entry in (movement_entry(one, TIME_ZONE) for one in movements)}
    for purchase_id in year.orders:
        expected |= {entry.id: entry for entry in entries_of(year.rooms.read(purchase_id), TIME_ZONE)}
    assert ledger.entries == expected
    clearing: defaultdict[str, int] = defaultdict(int)
    for entry in ledger.entries.values():
        clearing[entry.currency] += entry.clearing
    balances = {currency: amount for currency, amount in clearing.items() if amount}
    assert balances == {name: amount for name, amount in year.context.gateway.balance(year.now).items() if amount}


def _check_orders(year: YearOfProvider) -> None:
    """The ledger says of each order what the buyer has paid, got back and taken back, as the provider has it."""
    entries = year.ledger().entries.values()
    money: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        money[entry.order_id] += entry.amount
    for purchase_id in year.orders:
        purchase = year.rooms.read(purchase_id)
        assert purchase.state is PurchaseState.PAID
        assert purchase.payment is not None
        payment_id = purchase.payment.provider_id
        intent = year.account.get(payment_id or "")
        refunds = [one for one in year.account.records("refund") if one["payment_intent"] == payment_id]
        refunded = sum(one["amount"] for one in refunds if one["status"] not in {"failed", "canceled"})
        disputes = [one for one in year.account.records("dispute") if one["payment_intent"] == payment_id]
        lost = sum(one["amount"] for one in disputes if one["status"] == "lost" and one["balance_transactions"])
        assert money[f"ord_{purchase_id}"] == intent["amount_received"] - refunded - lost, purchase_id
