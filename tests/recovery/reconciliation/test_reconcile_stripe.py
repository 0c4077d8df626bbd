"""Reconciliation of orders whose payments are at Stripe: the comparison of all orders ends after any movement."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.capture import process_event
from chalicelib.instants import MINUTE, rfc3339
from chalicelib.payments import EventKind, ProviderEvent, ProviderRefund
from chalicelib.pricing import DEFAULT_MARKETS, Markets
from chalicelib.purchase import Purchase
from chalicelib.recovery import Comparison, recover_lost_orders
from chalicelib.shows import PutShowRequest
from tests.builders.purchases import NOW
from tests.builders.reconciliation import compare_all, reconcile
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour, ManualClock, faults
from tests.refunds.ledger_shop import LedgerShop, a_ledger_shop

HOUR, DAY = 3_600, 86_400


def an_account(settlement_currency: str = "gbp") -> Account:
    return Account(Behaviour.kind(settlement_currency=settlement_currency), clock=ManualClock(NOW))


def night(shop: LedgerShop) -> Comparison:
    """Compare all orders a day and some hours later, without the events until then."""
    shop.account.advance(DAY + 2 * HOUR)
    return compare_all(shop.context, shop.now)


def payment_of(purchase: Purchase) -> str:
    assert purchase.payment is not None
    return purchase.payment.provider_id or ""


def an_icelandic_shop(shop: ShopFixture) -> LedgerShop:
    described = DEFAULT_MARKETS.model_dump(mode="json")
    for market in described["markets"]:
        for option in market["shipping"]:
            option["price"]["ISK"] = 500
    markets = Markets.model_validate(described)
    in_iceland = replace(shop, context=replace(shop.context, markets_at=lambda _: markets))
    stripe_shop = a_ledger_shop(in_iceland, an_account())
    stripe_shop.account.set_rate("isk", "0.006")
    show = {"title": "Reykjavik", "currency": "ISK", "starts_at": rfc3339(NOW - 10 * MINUTE)}
    shop.shows.put_show("isk", PutShowRequest.model_validate(show), "test", NOW - 10 * MINUTE)
    shop.put_drop("map", show_id="isk", unit_price={"amount": 50_000, "currency": "ISK"})
    return stripe_shop


@pytest.mark.parametrize("source", ["dispute", "refund"])
def test_fraction_of_a_minor_unit_is_recorded_rounded_and_agrees_each_night(shop: ShopFixture, source: str) -> None:
    stripe_shop = an_icelandic_shop(shop)
    paid, other = stripe_shop.pay(("map", 1)), stripe_shop.pay(("mug", 1), key="other")
    if source == "dispute":
        stripe_shop.account.open_dispute(payment_of(paid), amount=4_999_950)
    else:
        stripe_shop.account.console_refund(payment_of(paid), 150)
    stripe_shop.account.console_refund(payment_of(other), 100)
    for _ in range(2):
        found = night(stripe_shop)
        assert (found.purchases, found.failed, found.differences) == (2, 0, [])
    recorded = stripe_shop.read(paid)
    amounts = [one.amount for one in recorded.disputes] + [one.amount for one in recorded.refunds]
    assert amounts == [50_000 if source == "dispute" else 2]
    assert [one.amount for one in stripe_shop.shop.read(other.id).refunds] == [100]


def test_order_whose_refund_raises_any_error_is_counted_and_the_others_are_compared(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, an_account())
    paid = [stripe_shop.pay(("mug", 1), key=f"key-{number}") for number in range(3)]
    for one in paid:
        stripe_shop.account.console_refund(payment_of(one), 100)
    gateway = stripe_shop.context.gateway
    found_refund, broken = gateway.find_refund, stripe_shop.account.records("refund")[1]["id"]

    def find_refund(provider_refund_id: str, *, now: int) -> ProviderRefund | None:
        if provider_refund_id == broken:
            raise ZeroDivisionError("an error that nobody foresaw")
        return found_refund(provider_refund_id, now=now)

    gateway.find_refund = find_refund  # type: ignore[method-assign]
    found = night(stripe_shop)
    assert (found.purchases, found.failed, found.refunds_recorded, found.finished_at) == (3, 1, 2, stripe_shop.now)


def test_order_that_raises_any_error_ends_no_recovery(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    placed = [shop.place(("mug", 1), key=f"key-{number}") for number in range(3)]
    enqueued: list[str] = []

    def enqueue(purchase_id: str, _: int) -> None:
        if purchase_id == placed[1].id:
            raise ZeroDivisionError("an error that nobody foresaw")
        enqueued.append(purchase_id)

    report = recover_lost_orders(shop.context, enqueue, NOW + 10 * MINUTE)
    assert (report.purchases, report.enqueued, report.failed) == (3, 2, 1)
    assert set(enqueued) == {placed[0].id, placed[2].id}


def test_won_dispute_that_returns_at_another_rate_is_withdrawn_no_more(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, an_account("eur"))
    account = stripe_shop.account
    account.set_rate("gbp", "1.17")
    paid = stripe_shop.pay(("mug", 2))
    dispute = account.open_dispute(payment_of(paid))["id"]
    stripe_shop.pass_time(HOUR)
    assert stripe_shop.read(paid).disputes[0].withdrawn == paid.totals.total
    account.win_dispute(dispute)
    taken, returned = account.get(dispute)["balance_transactions"]
    less = {name: returned[name] - 2 for name in ("amount", "net")}
    account.state.change(returned["id"], **less)
    account.state.change(dispute, balance_transactions=[taken, returned | less])
    stripe_shop.pass_time(HOUR)
    assert stripe_shop.read(paid).disputes[0].withdrawn == 0
    assert [night(stripe_shop).differences for _ in range(2)] == [[], []]


def test_dispute_event_that_an_older_version_stored_is_recorded(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, an_account())
    paid = stripe_shop.pay(("mug", 1))
    dispute = stripe_shop.account.open_dispute(payment_of(paid))["id"]
    kind = EventKind.DISPUTE
    event = ProviderEvent("evt_old", "stripe", kind, "charge.dispute.created", provider_refund_id=dispute)
    stripe_shop.context.events.add(event, stripe_shop.now)
    process_event(stripe_shop.context, "stripe", "evt_old", stripe_shop.now)
    assert [one.id for one in stripe_shop.read(paid).disputes] == [dispute]


@pytest.mark.parametrize("row", ["key_unknown", "key_expired", "resource_missing", "parameter_unknown"])
def test_refusal_of_the_balance_at_the_clearing_statement_leaves_the_comparison_complete(
    shop: ShopFixture, row: str
) -> None:
    stripe_shop = a_ledger_shop(shop, an_account())
    stripe_shop.pay(("mug", 1))
    stripe_shop.account.advance(DAY + 2 * HOUR)
    for _ in range(2):
        stripe_shop.account.fail_next("balance.retrieve", faults.refused(row))
    report = reconcile(stripe_shop.context, stripe_shop.now)
    assert (report.complete, report.statement) == (True, None)
    assert report.comparison is not None
    assert (report.comparison.orders, report.comparison.differences_count) == (1, 0)
    stripe_shop.account.state.faults.clear()
    stripe_shop.account.advance(DAY)
    assert reconcile(stripe_shop.context, stripe_shop.now).statement
