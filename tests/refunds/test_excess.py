"""Ledger and provider agree to the minor unit, and so does commission, in whatever order events come."""

from __future__ import annotations

import pytest

from chalicelib.finance import entries_of
from chalicelib.instants import DAY
from chalicelib.purchase import Purchase
from chalicelib.refunds import cancel_paid_order, record_provider_refund
from chalicelib.refunds.allocation import refundable_remainder
from chalicelib.streams.relay import ledger_changes
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour
from tests.refunds.ledger_shop import TIME_ZONE, LedgerShop, a_ledger_shop

HOUR = 3_600


def sums(purchase: Purchase) -> tuple[int, int]:
    entries = entries_of(purchase, TIME_ZONE)
    return sum(entry.amount for entry in entries), sum(entry.commission for entry in entries)


def a_paid_lamp(stripe_shop: LedgerShop) -> tuple[Purchase, str]:
    stripe_shop.shop.put_drop("lamp", stock=3, creator_id="ada-live", commission_bps=850)
    paid = stripe_shop.pay(("lamp", 2))
    stripe_shop.pass_time(HOUR)
    assert paid.payment is not None
    return stripe_shop.read(paid), paid.payment.provider_id or ""


@pytest.mark.parametrize("loss_first", [False, True])
def test_console_refund_beyond_a_loss_is_posted_as_excess(shop: ShopFixture, loss_first: bool) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind()))
    paid, payment = a_paid_lamp(stripe_shop)
    stripe_shop.account.console_refund(payment, 500)
    refund = stripe_shop.deliveries(HOUR)
    stripe_shop.account.lose_dispute(stripe_shop.account.open_dispute(payment)["id"])
    loss = stripe_shop.deliveries(HOUR)
    stripe_shop.receive([*loss, *refund] if loss_first else [*refund, *loss])
    assert sums(stripe_shop.read(paid)) == (-500, 0)


@pytest.mark.parametrize("loss_first", [False, True])
def test_failed_refund_leaves_its_lines_to_the_loss_that_exceeded_them(shop: ShopFixture, loss_first: bool) -> None:
    behaviour = Behaviour.kind(refund_status="pending", refund_takes=5 * DAY)
    stripe_shop = a_ledger_shop(shop, Account(behaviour))
    paid, payment = a_paid_lamp(stripe_shop)
    cancel_paid_order(stripe_shop.context, paid.id, "cancel", "", "ann", NOW)
    stripe_shop.pass_time(HOUR)
    refund_id = stripe_shop.read(paid).refunds[0].provider_id or ""
    if loss_first:
        stripe_shop.account.open_dispute(payment, answerable=False)
        stripe_shop.pass_time(HOUR)
        lost = stripe_shop.read(paid)
        stripe_shop.account.fail_refund(refund_id, "charge_for_pending_refund_disputed")
        stripe_shop.pass_time(HOUR)
        changes = ledger_changes(lost, stripe_shop.read(paid))
        assert changes is not None
        assert changes["disputes"] == [lost.disputes[0].id]
    else:
        stripe_shop.account.fail_refund(refund_id, "charge_for_pending_refund_disputed")
        stripe_shop.pass_time(HOUR)
        stripe_shop.account.open_dispute(payment, answerable=False)
        stripe_shop.pass_time(HOUR)
    order = stripe_shop.read(paid)
    assert sums(order) == (0, 0)
    assert refundable_remainder(order).amount == 0


def test_console_refund_that_is_learnt_before_the_failure_it_replaces(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind()))
    paid, payment = a_paid_lamp(stripe_shop)
    cancel_paid_order(stripe_shop.context, paid.id, "cancel", "", "ann", NOW)
    stripe_shop.pass_time(HOUR)
    stripe_shop.account.fail_refund(stripe_shop.read(paid).refunds[0].provider_id or "")
    replacement = stripe_shop.account.console_refund(payment)
    context = stripe_shop.context
    made = context.gateway.find_refund(replacement["id"], now=stripe_shop.now)
    assert made is not None
    assert record_provider_refund(context, paid.id, made, stripe_shop.now)
    before = stripe_shop.read(paid)
    assert sums(before) == (-paid.totals.total, 0)
    stripe_shop.pass_time(HOUR)
    order = stripe_shop.read(paid)
    assert sums(order) == (stripe_shop.money_at_stripe(order), 0) == (0, 0)
    changes = ledger_changes(before, order)
    assert changes is not None
    assert changes["allocated_refunds"] == ["rf_2"]
