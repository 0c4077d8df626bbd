"""Lost disputes: refunds are refused with the reason, and amounts may change at the provider."""

from __future__ import annotations

import pytest

from chalicelib.errors import Conflict
from chalicelib.finance import entries_of
from chalicelib.purchase import Purchase
from chalicelib.refunds import record_dispute, refund_order
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour, disputes
from tests.refunds.ledger_shop import TIME_ZONE, LedgerShop, a_ledger_shop

HOUR = 3_600


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> LedgerShop:
    return a_ledger_shop(shop, Account(Behaviour.kind()))


def payment_of(purchase: Purchase) -> str:
    assert purchase.payment is not None
    return purchase.payment.provider_id or ""


def a_lost_order(stripe_shop: LedgerShop, amount: int = 500) -> tuple[Purchase, str]:
    paid = stripe_shop.pay(("mug", 2))
    stripe_shop.pass_time(HOUR)
    name = stripe_shop.account.open_dispute(payment_of(paid), amount=amount)["id"]
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    return stripe_shop.read(paid), name


def lost_in_ledger(purchase: Purchase) -> int:
    return sum(entry.amount for entry in entries_of(purchase, TIME_ZONE) if ".dispute." in entry.id)


def test_refund_after_a_lost_dispute_is_refused_because_the_buyer_has_the_money(stripe_shop: LedgerShop) -> None:
    disputed, _ = a_lost_order(stripe_shop)
    with pytest.raises(Conflict, match="has the money back: the dispute of this payment is lost") as refusal:
        refund_order(stripe_shop.context, disputed.id, a_refund_request((disputed.lines[0].id, 1)), NOW)
    assert refusal.value.code == "order_disputed"
    stripe_shop.read(disputed)


@pytest.mark.parametrize("withdrawn", [300, 900])
def test_loss_whose_amount_changes_is_restored_and_another_loss_is_recorded(
    stripe_shop: LedgerShop, withdrawn: int
) -> None:
    lost, name = a_lost_order(stripe_shop)
    assert lost_in_ledger(lost) == -500
    (movement,) = stripe_shop.account.get(name)["balance_transactions"]
    stripe_shop.account.state.change(name, balance_transactions=[movement | {"amount": -withdrawn}])
    assert record_dispute(stripe_shop.context, lost.id, name, stripe_shop.now)
    changed = stripe_shop.read(lost)
    assert lost_in_ledger(changed) == -withdrawn
    first, second = changed.disputes[0].losses
    assert (first.amount, first.restored_at, second.amount, second.restored_at) == (
        500,
        stripe_shop.now,
        withdrawn,
        None,
    )


def test_money_withdrawn_again_is_lost_also_where_the_account_settles_in_another_currency(shop: ShopFixture) -> None:
    """Movements in the currency of settlement: withdrawn, returned, withdrawn again."""
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(settlement_currency="eur")))
    lost, name = a_lost_order(stripe_shop)
    stripe_shop.account.win_dispute(name)
    stripe_shop.pass_time(HOUR)
    assert lost_in_ledger(stripe_shop.read(lost)) == 0
    disputes.withdraw_funds(stripe_shop.account._at_present(), name)
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    order = stripe_shop.read(lost)
    assert (lost_in_ledger(order), order.disputes[0].withdrawn_of_order) == (-500, 500)
