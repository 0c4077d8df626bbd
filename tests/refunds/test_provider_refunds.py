"""Refunds of the provider's console beside refunds of the order that are refused, unanswered, or fail later."""

from __future__ import annotations

import pytest

from chalicelib.errors import Unavailable
from chalicelib.finance import entries_of
from chalicelib.instants import rfc3339
from chalicelib.payments import ProviderRefund, RefundFailed
from chalicelib.purchase import RefundRequest
from chalicelib.refunds import cancel_paid_order, record_provider_refund, refund_order
from chalicelib.refunds.allocation import allocate_refund
from chalicelib.refunds.finish_refund import record_answer
from chalicelib.refunds.refund import with_refund
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour, faults
from tests.refunds.ledger_shop import TIME_ZONE, LedgerShop, a_ledger_shop

A_DAY = 86_400


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> LedgerShop:
    return a_ledger_shop(shop, Account(Behaviour.kind()))


def test_refund_that_names_a_refused_one_is_another_refund(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    paid = shop.pay(("mug", 2))
    request = RefundRequest("key-1", "", ((paid.lines[0].id, 1),), False, "ann")
    order = with_refund(paid, request, allocate_refund(paid, request), NOW)
    shop.context.purchases.replace(order)
    (refused,) = order.refunds
    record_answer(shop.context, order, refused.id, RefundFailed("charge_disputed"), NOW)
    made = ProviderRefund("re_9", refused.amount, f"{order.id}-{refused.id}")
    assert record_provider_refund(shop.context, order.id, made, NOW)
    refunds = shop.read(order.id).refunds
    assert [(one.provider_id, one.failure_code) for one in refunds] == [(None, "charge_disputed"), ("re_9", None)]


def test_console_refund_of_all_is_spread_over_the_lines_although_a_refund_is_unanswered(
    stripe_shop: LedgerShop,
) -> None:
    paid = stripe_shop.pay(("mug", 2))
    stripe_shop.pass_time(60)
    stripe_shop.account.fail_next("refunds.create", faults.timeout())
    with pytest.raises(Unavailable):
        refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    assert paid.payment is not None
    made = stripe_shop.account.console_refund(paid.payment.provider_id or "")
    found = stripe_shop.context.gateway.find_refund(made["id"], now=stripe_shop.now)
    assert found is not None
    assert record_provider_refund(stripe_shop.context, paid.id, found, stripe_shop.now)
    order = stripe_shop.read(paid)
    assert order.refunds[0].failure_code is not None, "the provider has no money left for it"
    rows = [entry for entry in entries_of(order, TIME_ZONE) if ".refund.rf_2." in entry.id]
    assert sum(entry.amount for entry in rows) == -order.totals.total
    assert not any(entry.id.endswith(".excess") for entry in rows)


def test_later_allocation_of_a_refund_is_posted_at_its_own_instant(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 2))
    cancel_paid_order(stripe_shop.context, paid.id, "cancel", "", "ann", NOW)
    stripe_shop.pass_time(60)
    stripe_shop.account.fail_refund(stripe_shop.read(paid).refunds[0].provider_id or "")
    assert paid.payment is not None
    replacement = stripe_shop.account.console_refund(paid.payment.provider_id or "")
    found = stripe_shop.context.gateway.find_refund(replacement["id"], now=stripe_shop.now)
    assert found is not None
    recorded_at = stripe_shop.now
    assert record_provider_refund(stripe_shop.context, paid.id, found, recorded_at)
    stripe_shop.pass_time(2 * A_DAY)
    order = stripe_shop.read(paid)
    at = {entry.id.partition(".refund.rf_2.")[2]: entry.occurred_at for entry in entries_of(order, TIME_ZONE)}
    assert at["excess"] == rfc3339(recorded_at)
    (allocated_at,) = {allocated.allocated_at for allocated in order.refunds[1].allocated}
    assert allocated_at > recorded_at
    assert {when for name, when in at.items() if name.startswith("allocated1.")} == {rfc3339(allocated_at)}
