"""A dispute at the provider is a state of its order, and money that it takes for good is in the ledger."""

from __future__ import annotations

from itertools import permutations

import pytest

from chalicelib.errors import Conflict
from chalicelib.finance import EntryType, LedgerEntry, entries_of
from chalicelib.instants import DAY
from chalicelib.payments import DisputeStatus
from chalicelib.purchase import Purchase
from chalicelib.purchase.order_status import OrderStatus, order_status_of
from chalicelib.refunds import cancel_paid_order, record_dispute, refund_order
from chalicelib.refunds.allocation import refundable_remainder
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour, disputes
from tests.refunds.ledger_shop import TIME_ZONE, LedgerShop, a_ledger_shop

HOUR, A_DAY = 3_600, DAY / 1_000


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> LedgerShop:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind()))
    stripe_shop.shop.put_drop("lamp", stock=3, creator_id="ada-live", commission_bps=850)
    return stripe_shop


def payment_of(purchase: Purchase) -> str:
    assert purchase.payment is not None
    return purchase.payment.provider_id or ""


def chargebacks(purchase: Purchase) -> list[LedgerEntry]:
    types = {EntryType.CHARGEBACK, EntryType.CHARGEBACK_REVERSED}
    return [entry for entry in entries_of(purchase, TIME_ZONE) if entry.entry_type in types]


def a_disputed_order(
    stripe_shop: LedgerShop, *, amount: int | None = None, inquiry: bool = False
) -> tuple[Purchase, str]:
    paid = stripe_shop.pay(("lamp", 2))
    dispute = stripe_shop.account.open_dispute(payment_of(paid), amount=amount, inquiry=inquiry)
    stripe_shop.pass_time(HOUR)
    return stripe_shop.read(paid), dispute["id"]


def test_lost_dispute_is_a_loss_by_line_and_takes_the_commission_back(stripe_shop: LedgerShop) -> None:
    disputed, name = a_disputed_order(stripe_shop)
    assert order_status_of(disputed) is OrderStatus.DISPUTED
    (dispute,) = disputed.disputes
    assert (dispute.status, dispute.amount, dispute.withdrawn) == ("open", disputed.totals.total, disputed.totals.total)
    assert dispute.evidence_due is not None
    assert chargebacks(disputed) == []
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    lost = stripe_shop.read(disputed)
    assert order_status_of(lost) is OrderStatus.CHARGED_BACK
    line, shipping = chargebacks(lost)
    assert (line.id, shipping.id) == (
        f"{lost.id}.dispute.{name}.lost.{lost.lines[0].id}",
        f"{lost.id}.dispute.{name}.lost.shipping",
    )
    assert line.amount + shipping.amount == -lost.totals.total
    assert (line.amount, line.tax, line.quantity, line.dispute_id) == (-2_550, 0, 0, name)
    (sale,) = (entry for entry in entries_of(lost, TIME_ZONE) if entry.entry_type is EntryType.SALE)
    assert sale.commission > 0
    assert line.commission == -sale.commission
    assert refundable_remainder(lost).amount == 0


def test_won_dispute_leaves_nothing_behind(stripe_shop: LedgerShop) -> None:
    disputed, name = a_disputed_order(stripe_shop)
    stripe_shop.account.win_dispute(name)
    stripe_shop.pass_time(HOUR)
    won = stripe_shop.read(disputed)
    assert (order_status_of(won), won.disputes[0].status, won.disputes[0].withdrawn) == (OrderStatus.PAID, "won", 0)
    assert won.disputes[0].closed_at is not None
    assert chargebacks(won) == []
    _, refund = refund_order(stripe_shop.context, won.id, a_refund_request((won.lines[0].id, 1)), stripe_shop.now)
    assert refund.completed_at is not None


def test_inquiry_moves_nothing_and_may_become_a_chargeback(stripe_shop: LedgerShop) -> None:
    order, name = a_disputed_order(stripe_shop, inquiry=True)
    assert (order_status_of(order), order.disputes[0].status) == (OrderStatus.PAID, "inquiry")
    assert order.disputes[0].withdrawn == 0
    stripe_shop.account.escalate_inquiry(name)
    stripe_shop.pass_time(HOUR)
    disputed = stripe_shop.read(order)
    assert (order_status_of(disputed), disputed.disputes[0].status) == (OrderStatus.DISPUTED, "open")
    assert disputed.disputes[0].withdrawn == disputed.totals.total


def test_inquiry_that_ends_is_closed(stripe_shop: LedgerShop) -> None:
    order, _ = a_disputed_order(stripe_shop, inquiry=True)
    stripe_shop.pass_time(130 * A_DAY)
    closed = stripe_shop.read(order)
    assert (order_status_of(closed), closed.disputes[0].status) == (OrderStatus.PAID, "closed")
    assert chargebacks(closed) == []


def test_disputed_order_is_not_refunded_and_the_operator_learns_why(stripe_shop: LedgerShop) -> None:
    disputed, _ = a_disputed_order(stripe_shop)
    calls = len(stripe_shop.account.operations())
    context = stripe_shop.context
    with pytest.raises(Conflict, match="disputes this payment") as refusal:
        refund_order(context, disputed.id, a_refund_request((disputed.lines[0].id, 1)), NOW)
    assert refusal.value.code == "order_disputed"
    with pytest.raises(Conflict, match="disputes this payment"):
        cancel_paid_order(context, disputed.id, "cancel", "", "ann", NOW)
    assert len(stripe_shop.account.operations()) == calls, "the provider is not asked"
    assert stripe_shop.read(disputed) == disputed


def test_dispute_that_the_order_does_not_know_yet_refuses_a_refund_in_the_same_words(stripe_shop: LedgerShop) -> None:
    """Stripe's E21: ``charge_disputed``."""
    paid = stripe_shop.pay(("lamp", 2))
    stripe_shop.account.open_dispute(payment_of(paid))
    with pytest.raises(Conflict) as refusal:
        refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    assert refusal.value.code == "order_disputed"
    assert stripe_shop.read(paid).refunds[0].failure_code == "charge_disputed"


@pytest.mark.parametrize("amount", [100, 4_000])
def test_lost_amount_may_be_less_or_more_than_the_order(stripe_shop: LedgerShop, amount: int) -> None:
    disputed, name = a_disputed_order(stripe_shop, amount=amount)
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    lost = stripe_shop.read(disputed)
    rows = {entry.id.rpartition(".")[2]: entry.amount for entry in chargebacks(lost)}
    assert sum(rows.values()) == -amount
    assert rows.get("excess", 0) == -max(0, amount - lost.totals.total)
    assert refundable_remainder(lost).amount == max(0, lost.totals.total - amount)


@pytest.mark.parametrize("settlement", ["gbp", "eur", "usd"])
@pytest.mark.parametrize(("disputed", "taken"), [(125, 100), (250, 200)])
def test_loss_of_a_dispute_in_another_currency_is_its_part_of_the_order(
    shop: ShopFixture, settlement: str, disputed: int, taken: int
) -> None:
    """Stripe's D6: 125 US cents are 100 pence, whatever currency the account settles in."""
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(settlement_currency=settlement)))
    for currency, worth in {"gbp": {"eur": "1.25", "usd": "1.25"}, "usd": {"gbp": "0.8", "eur": "1"}}.items():
        stripe_shop.account.set_rate(currency, worth.get(settlement, "1"))
    paid = stripe_shop.pay(("mug", 2))
    stripe_shop.pass_time(HOUR)
    name = stripe_shop.account.open_dispute(payment_of(paid), amount=disputed, currency="usd")["id"]
    stripe_shop.pass_time(HOUR)
    (opened,) = stripe_shop.read(paid).disputes
    assert (opened.currency, opened.withdrawn, opened.withdrawn_of_order) == ("USD", disputed, taken)
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    lost = stripe_shop.read(paid)
    assert sum(entry.amount for entry in chargebacks(lost)) == -taken
    assert refundable_remainder(lost).amount == lost.totals.total - taken
    assert not record_dispute(stripe_shop.context, paid.id, name, stripe_shop.now), "no second loss"


@pytest.mark.parametrize("settlement", ["gbp", "eur"])
def test_dispute_in_another_currency_takes_at_most_what_the_payment_received(
    shop: ShopFixture, settlement: str
) -> None:
    """The buyer's bank converts at its own rate of a later day."""
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(settlement_currency=settlement)))
    paid = stripe_shop.pay(("mug", 2))
    stripe_shop.pass_time(HOUR)
    name = stripe_shop.account.open_dispute(payment_of(paid), amount=paid.totals.total + 40, currency="usd")["id"]
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    lost = stripe_shop.read(paid)
    assert sum(entry.amount for entry in chargebacks(lost)) == -lost.totals.total
    assert refundable_remainder(lost).amount == 0


def test_won_dispute_in_another_currency_takes_nothing(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(settlement_currency="eur")))
    paid = stripe_shop.pay(("mug", 2))
    stripe_shop.pass_time(HOUR)
    name = stripe_shop.account.open_dispute(payment_of(paid), amount=100, currency="usd")["id"]
    stripe_shop.account.win_dispute(name)
    stripe_shop.pass_time(HOUR)
    (won,) = stripe_shop.read(paid).disputes
    assert (won.status, won.withdrawn, won.withdrawn_of_order, won.losses) == ("won", 0, 0, ())


def test_loss_after_a_refund_is_what_was_left_and_the_excess(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("lamp", 2))
    refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    name = stripe_shop.account.open_dispute(payment_of(paid), amount=paid.totals.total)["id"]
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    lost = stripe_shop.read(paid)
    rows = {entry.id.rpartition(".")[2]: entry for entry in chargebacks(lost)}
    assert rows["excess"].amount == -1_275
    assert sum(entry.amount for entry in rows.values()) == -paid.totals.total
    assert sum(entry.commission for entry in entries_of(lost, TIME_ZONE)) == 0


def test_loss_of_an_order_that_is_fully_refunded_is_all_beyond_the_order(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("lamp", 2))
    cancel_paid_order(stripe_shop.context, paid.id, "cancel", "", "ann", NOW)
    name = stripe_shop.account.open_dispute(payment_of(paid), amount=500)["id"]
    stripe_shop.account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    (excess,) = chargebacks(stripe_shop.read(paid))
    assert (excess.id, excess.amount) == (f"{paid.id}.dispute.{name}.lost.excess", -500)


@pytest.mark.parametrize("withdrawn", [0, 300])
def test_loss_is_what_was_withdrawn_and_not_what_the_buyer_disputes(stripe_shop: LedgerShop, withdrawn: int) -> None:
    paid = stripe_shop.pay(("lamp", 2))
    account = stripe_shop.account
    name = account.open_dispute(payment_of(paid), amount=500)["id"]
    (movement,) = account.get(name)["balance_transactions"]
    moved = [movement | {"amount": -withdrawn}] if withdrawn else []
    account.state.change(name, balance_transactions=moved)
    account.lose_dispute(name)
    stripe_shop.pass_time(HOUR)
    lost = stripe_shop.read(paid)
    assert [(one.status, one.amount, one.withdrawn) for one in lost.disputes] == [("lost", 500, withdrawn)]
    assert sum(entry.amount for entry in chargebacks(lost)) == -withdrawn


def test_several_disputes_of_one_order(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("lamp", 2))
    names = [stripe_shop.account.open_dispute(payment_of(paid), amount=amount)["id"] for amount in (500, 700)]
    stripe_shop.account.lose_dispute(names[0])
    stripe_shop.pass_time(HOUR)
    one_open = stripe_shop.read(paid)
    assert order_status_of(one_open) is OrderStatus.DISPUTED
    stripe_shop.account.win_dispute(names[1])
    stripe_shop.pass_time(HOUR)
    ended = stripe_shop.read(paid)
    assert [(one.status, one.withdrawn) for one in ended.disputes] == [("lost", 500), ("won", 0)]
    assert order_status_of(ended) is OrderStatus.CHARGED_BACK
    assert sum(entry.amount for entry in chargebacks(ended)) == -500


def test_outcome_that_is_reversed_restores_the_loss_and_a_second_loss_has_rows_of_its_own(
    stripe_shop: LedgerShop,
) -> None:
    """A posted loss stays; its reversal, and another loss, are entries of their own."""
    disputed, name = a_disputed_order(stripe_shop)
    context, account = stripe_shop.context, stripe_shop.account

    def lose_again(name: str) -> None:
        disputes.withdraw_funds(account._at_present(), name)
        account.lose_dispute(name)

    for end in (stripe_shop.account.lose_dispute, stripe_shop.account.win_dispute, lose_again):
        end(name)
        stripe_shop.pass_time(HOUR)
        assert not record_dispute(context, disputed.id, name, stripe_shop.now), "the events told all"
        stripe_shop.read(disputed)
    last = stripe_shop.read(disputed)
    kinds = [entry.id.removeprefix(f"{last.id}.dispute.{name}.") for entry in chargebacks(last)]
    line = last.lines[0].id
    assert kinds == [
        f"lost.{line}",
        "lost.shipping",
        f"lost.{line}.restored",
        "lost.shipping.restored",
        f"lost2.{line}",
        "lost2.shipping",
    ]
    assert sum(entry.amount for entry in chargebacks(last)) == -last.totals.total


def test_events_of_a_dispute_in_any_order_lead_to_the_same_state(shop: ShopFixture) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind(twin_event_every=0)))
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.receive(stripe_shop.deliveries(HOUR))
    name = stripe_shop.account.open_dispute(payment_of(paid))["id"]
    opened = stripe_shop.deliveries(60)
    stripe_shop.account.lose_dispute(name)
    closed = stripe_shop.deliveries(HOUR)
    events = [one for one in (*opened, *closed) if one.event["type"].startswith("charge.dispute.")]
    states = set()
    for order in list(permutations(events))[:24]:
        stripe_shop.receive(order)
        current = stripe_shop.read(paid)
        states.add((current.disputes[0].status, len(current.disputes[0].losses)))
    assert states == {(DisputeStatus.LOST.value, 1)}
