"""The comparison believes what moved at Stripe, and not the amount of the object that it moved for."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.instants import DAY, HOUR, SECOND
from chalicelib.recovery import reconcile_payments
from chalicelib.refunds import record_dispute
from chalicelib.streams import jobs
from chalicelib.streams.messaging import Queue
from tests.builders.shop import ShopFixture
from tests.doubles.stripe.api import Request
from tests.doubles.stripe.balance import post
from tests.doubles.stripe.faults import Fault
from tests.doubles.stripe.state import Record, wire
from tests.fakes.aws import in_memory_aws
from tests.recovery.reconciliation.test_reconcile_stripe import an_account, night, payment_of
from tests.refunds.ledger_shop import LedgerShop, a_ledger_shop


def a_shop_that_settles_in(shop: ShopFixture, currency: str, rate: str = "1.17") -> LedgerShop:
    stripe_shop = a_ledger_shop(shop, an_account(currency))
    stripe_shop.account.set_rate("gbp", rate)
    return stripe_shop


def move(stripe_shop: LedgerShop, kind: str, amount: int) -> Record:
    """Let the only movement of a kind have another amount than its source."""
    (moved,) = [one for one in stripe_shop.account.records("balance_transaction") if one["type"] == kind]
    changed = {"amount": amount, "net": amount - moved["fee"]}
    stripe_shop.account.state.change(moved["id"], **changed)
    return {**moved, **changed}


@pytest.mark.parametrize(("settlement", "moved", "found"), [("gbp", 100, 100), ("eur", 117, 100)])
def test_charge_that_moved_another_amount_is_a_difference(
    shop: ShopFixture, settlement: str, moved: int, found: int
) -> None:
    stripe_shop = a_shop_that_settles_in(shop, settlement)
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.advance(10)
    move(stripe_shop, "charge", moved)
    (difference,) = night(stripe_shop).differences
    amounts = difference["kind"], difference["expected"], difference["found"], difference["currency"]
    assert amounts == ("amount", paid.totals.total, found, "GBP")


@pytest.mark.parametrize(("settlement", "moved"), [("gbp", -900), ("eur", -1_053)])
def test_refund_that_moved_another_amount_is_a_difference(shop: ShopFixture, settlement: str, moved: int) -> None:
    stripe_shop = a_shop_that_settles_in(shop, settlement)
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.advance(10)
    stripe_shop.account.console_refund(payment_of(paid), 500)
    stripe_shop.account.advance(120)
    move(stripe_shop, "refund", moved)
    night(stripe_shop)  # records the refund
    (difference,) = night(stripe_shop).differences
    assert (difference["kind"], difference["expected"], difference["found"]) == ("refund", 500, 900)


@pytest.mark.parametrize("returned", [0, 300])
def test_dispute_counts_by_what_was_withdrawn_and_what_returned(shop: ShopFixture, returned: int) -> None:
    stripe_shop = a_ledger_shop(shop, an_account())
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.advance(10)
    dispute = stripe_shop.account.open_dispute(payment_of(paid), amount=500)["id"]
    state = stripe_shop.account.state
    if returned:
        moved = [*stripe_shop.account.get(dispute)["balance_transactions"]]
        moved.append(wire(post(state, "adjustment", "dispute_reversal", returned, "gbp", dispute)))
        state.change(dispute, balance_transactions=moved, status="lost")
    else:
        state.change(dispute, balance_transactions=[wire(move(stripe_shop, "adjustment", -300))])
    stripe_shop.pass_time(HOUR / SECOND)
    record_dispute(stripe_shop.context, paid.id, dispute, stripe_shop.now)
    assert stripe_shop.read(paid).disputes[0].withdrawn == (500 - returned if returned else 300)
    assert [night(stripe_shop).differences for _ in range(4)] == [[]] * 4


def test_movement_that_is_listed_days_late_is_found_when_its_days_are_read_again(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, an_account())
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.advance(10)
    stripe_shop.account.console_refund(payment_of(paid), 100)
    listed = stripe_shop.account.state.records["balance_transaction"]
    late = listed.pop(next(name for name, one in listed.items() if one["type"] == "refund"))
    assert [night(stripe_shop).differences for _ in range(3)] == [[]] * 3
    listed[late["id"]] = late

    def ask(**request: int) -> dict[str, Any]:
        stripe_shop.account.advance(HOUR / SECOND)
        asked = {"begin": True, **request}
        return jobs.reconcile_payments(
            asked, stripe_shop.context, Queue(in_memory_aws().clients["sqs"], "captures"), lambda: stripe_shop.now, HOUR
        )

    assert [row["difference"] for row in ask()["clearing"]] == [-100]
    assert [row["difference"] for row in ask(days=30)["clearing"]] == [0]
    assert [one.amount for one in stripe_shop.read(paid).refunds] == [100]


def test_refund_that_settles_to_nothing_is_no_difference(shop: ShopFixture) -> None:
    stripe_shop = a_shop_that_settles_in(shop, "eur", "0.3")
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.advance(10)
    stripe_shop.account.console_refund(payment_of(paid), 1)
    stripe_shop.account.advance(300)
    assert [night(stripe_shop).differences for _ in range(3)] == [[]] * 3
    assert [one.amount for one in stripe_shop.read(paid).refunds] == [1]


def test_first_statement_during_a_sale_of_slow_answers_fixes_no_wrong_opening(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, an_account())
    account, selling = stripe_shop.account, True
    stripe_shop.pay(("mug", 1))
    account.advance(DAY / SECOND)

    def slow(request: Request, number: int) -> Fault | None:
        if selling and request.operation in {"balance_transactions.list", "balance.retrieve"}:
            stripe_shop.clock.advance(8)
            if request.operation == "balance.retrieve":
                account.foreign_payment(amount=1_000, currency="gbp")
        return None

    account.choose_faults(slow)
    statements = []
    for _ in range(4):
        report = reconcile_payments(
            stripe_shop.context, lambda *_: None, lambda: stripe_shop.now, lambda: False, begin=True
        )
        statements.append(report.statement)
        selling = False
        account.advance(26 * HOUR / SECOND)
    assert statements[0] is None
    assert [row.difference for rows in statements[1:] for row in rows or []] == [0, 0, 0]
