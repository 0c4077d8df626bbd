"""A refund is requested, pending, done or failed, as the provider's answers and events say, in any order of them."""

from __future__ import annotations

from itertools import permutations

import pytest

from chalicelib.errors import Conflict
from chalicelib.finance import EntryType, entries_of
from chalicelib.instants import DAY, MINUTE
from chalicelib.payments import OutcomeUnknownError, ProviderRefund, RefundFailed, RefundStatus
from chalicelib.purchase import Purchase, PurchaseState, Refund, RefundRequest
from chalicelib.recovery import recover_lost_orders
from chalicelib.refunds import cancel_paid_order, finish_refund, finish_refunds, record_provider_refund, refund_order
from chalicelib.refunds.allocation import allocate_refund
from chalicelib.refunds.finish_refund import record_answer
from chalicelib.refunds.refund import with_refund
from chalicelib.stock import Stock
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture, once
from tests.doubles.stripe import Account, Behaviour, faults
from tests.refunds.ledger_shop import TIME_ZONE, LedgerShop, a_ledger_shop

HOUR = 3_600


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind(refund_status="pending", refund_takes=MINUTE))


@pytest.fixture
def stripe_shop(shop: ShopFixture, account: Account) -> LedgerShop:
    return a_ledger_shop(shop, account)


def refund_types(purchase: Purchase) -> list[EntryType]:
    return [entry.entry_type for entry in entries_of(purchase, TIME_ZONE) if entry.refund_id is not None]


def test_pending_refund_is_posted_and_restocked_only_when_it_is_done(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 2))
    request = a_refund_request((paid.lines[0].id, 1), restock=True)
    waiting, refund = refund_order(stripe_shop.context, paid.id, request, NOW)
    assert (refund.completed_at, refund.failure_code, refund.provider_id is None) == (None, None, False)
    assert (refund_types(waiting), stripe_shop.shop.unit_counts("mug")) == ([], (1, 0, 2))
    stripe_shop.account.advance(2 * MINUTE / 1_000)
    recovered = recover_lost_orders(stripe_shop.context, lambda *_: None, stripe_shop.now)
    assert recovered.refunds_finished == 1
    done = stripe_shop.read(paid)
    assert (done.refunds[0].completed_at, done.refunds[0].restocked) == (stripe_shop.now, True)
    assert (refund_types(done), stripe_shop.shop.unit_counts("mug")) == ([EntryType.REFUND], (2, 0, 1))


@pytest.mark.parametrize("card", ["pm_card_pendingRefund", "pm_card_refundRequiresAction"])
def test_no_other_answer_is_taken_as_done(shop: ShopFixture, card: str) -> None:
    stripe_shop = a_ledger_shop(shop, Account(Behaviour.kind()))
    paid = stripe_shop.pay(("mug", 1), token=card)
    _, refund = refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    assert refund.is_pending
    assert refund_types(stripe_shop.read(paid)) == []


def test_refund_that_fails_four_days_later_is_reversed_and_refundable_again(stripe_shop: LedgerShop) -> None:
    """Finding 5: the failure is posted at its own day, and the whole sum can go back another way."""
    paid = stripe_shop.pay(("mug", 1))
    context = stripe_shop.context
    request = RefundRequest("all", "", ((paid.lines[0].id, 1),), True, "ann", shipping=True)
    refund_order(context, paid.id, request, NOW)
    stripe_shop.pass_time(HOUR)
    finish_refunds(context, stripe_shop.read(paid), stripe_shop.now)
    done = stripe_shop.read(paid)
    assert done.refunds[0].completed_at is not None
    stripe_shop.pass_time(4 * DAY / 1_000)
    stripe_shop.account.fail_refund(done.refunds[0].provider_id or "")
    stripe_shop.pass_time(HOUR)
    failed = stripe_shop.read(paid)
    refund = failed.refunds[0]
    assert (refund.failure_code, refund.completed_at) == ("expired_or_canceled_card", done.refunds[0].completed_at)
    assert refund.failed_at is not None
    assert refund.failed_at > NOW + 4 * DAY
    assert sorted(refund_types(failed)) == ["refund", "refund_failed", "shipping_refund", "shipping_refund_failed"]
    dates = {entry.business_date for entry in entries_of(failed, TIME_ZONE)}
    assert len(dates) == 2, "the failure is in the open day, and the day of the refund stays as it was"
    net = [sum(getattr(one, column) for one in entries_of(failed, TIME_ZONE)) for column in ("amount", "commission")]
    assert net == [paid.totals.total, sum(one.commission for one in entries_of(paid, TIME_ZONE))]
    assert stripe_shop.money_at_stripe(failed) == paid.totals.total
    again = RefundRequest("again", "", ((paid.lines[0].id, 1),), True, "ann", shipping=True)
    refund_order(context, paid.id, again, stripe_shop.now)
    stripe_shop.account.advance(HOUR)
    finish_refunds(context, stripe_shop.read(paid), stripe_shop.now)
    last = stripe_shop.read(paid)
    assert [one.failure_code for one in last.refunds] == ["expired_or_canceled_card", None]
    assert sum(entry.amount for entry in entries_of(last, TIME_ZONE)) == stripe_shop.money_at_stripe(last) == 0
    assert stripe_shop.shop.unit_counts("mug") == (3, 0, 0), "the unit is back once"


def test_pending_refund_that_fails_posts_nothing(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 1))
    request = a_refund_request((paid.lines[0].id, 1), restock=True)
    waiting, _ = refund_order(stripe_shop.context, paid.id, request, NOW)
    stripe_shop.account.cancel_refund(waiting.refunds[0].provider_id or "")
    stripe_shop.pass_time(HOUR)
    failed = stripe_shop.read(paid)
    assert (failed.refunds[0].failure_code, failed.refunds[0].failed_at) == ("merchant_request", None)
    assert (refund_types(failed), stripe_shop.shop.unit_counts("mug")) == ([], (2, 0, 1))
    with pytest.raises(Conflict, match="failed at the provider"):
        refund_order(stripe_shop.context, paid.id, request, stripe_shop.now)


def test_answer_that_was_overtaken_changes_nothing(stripe_shop: LedgerShop) -> None:
    """A worker that read "pending" or "succeeded" before the failure writes after it."""
    paid = stripe_shop.pay(("mug", 1))
    context = stripe_shop.context
    waiting, refund = refund_order(context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    made = context.gateway.find_refund(refund.provider_id or "", now=NOW)
    assert made is not None
    succeeded = ProviderRefund(made.provider_refund_id, made.amount, made.refund_id)
    failed = ProviderRefund(made.provider_refund_id, made.amount, made.refund_id, RefundStatus.FAILED, "declined")
    for answers in permutations([made, succeeded, failed]):
        shop_order = waiting
        for answer in answers:
            shop_order = record_answer(context, stripe_shop.read(shop_order), refund.id, answer, NOW)
        assert shop_order.refunds[0].failure_code == "declined"


def test_failure_that_is_answered_again_keeps_its_instant(shop: ShopFixture) -> None:
    order, (refund,) = an_order_with_requested_refunds(shop, [1])
    order = record_answer(shop.context, order, refund.id, ProviderRefund("re_1", refund.amount), NOW)
    failure = ProviderRefund("re_1", refund.amount, None, FAILED, "declined")
    order = record_answer(shop.context, order, refund.id, failure, NOW + MINUTE)
    posted = entries_of(order, TIME_ZONE)
    again = record_answer(shop.context, order, refund.id, failure, NOW + 2 * DAY)
    assert again.refunds[0].failed_at == NOW + MINUTE
    assert entries_of(shop.read(order.id), TIME_ZONE) == posted


def test_refused_refund_is_not_done_by_a_later_answer(shop: ShopFixture) -> None:
    order, (refund,) = an_order_with_requested_refunds(shop, [1])
    order = record_answer(shop.context, order, refund.id, RefundFailed("charge_disputed"), NOW)
    order = record_answer(shop.context, order, refund.id, ProviderRefund("re_1", refund.amount), NOW + MINUTE)
    assert (order.refunds[0].completed_at, order.refunds[0].failure_code) == (None, "charge_disputed")


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (RefundFailed("charge_disputed"), ["refunds_refused"]),
        (ProviderRefund("re_1", 1, None, RefundStatus.FAILED, "declined"), ["refunds_failed"]),
    ],
)
def test_refund_that_fails_is_counted(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch, answer: ProviderRefund | RefundFailed, counted: list[str]
) -> None:
    counts: list[str] = []
    monkeypatch.setattr(finish_refund, "count", counts.append)
    order, (refund,) = an_order_with_requested_refunds(shop, [1])
    record_answer(shop.context, order, refund.id, answer, NOW)
    assert counts == counted


def test_cancellation_counts_when_its_refund_is_done(stripe_shop: LedgerShop) -> None:
    """Finding 15: the order is cancelled with the refund, and not before."""
    paid = stripe_shop.pay(("mug", 1))
    waiting, refund = cancel_paid_order(stripe_shop.context, paid.id, "cancel", "", "ann", NOW)
    assert (waiting.cancelled_at, refund.is_pending) == (None, True)
    stripe_shop.account.advance(HOUR)
    done = finish_refunds(stripe_shop.context, stripe_shop.read(paid), stripe_shop.now)
    assert (done.cancelled_at, done.refunds[0].completed_at) == (stripe_shop.now, stripe_shop.now)


def test_cancellation_that_the_provider_refuses_leaves_the_order_as_it_was(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 1))
    assert paid.payment is not None
    stripe_shop.account.console_refund(paid.payment.provider_id or "", 1)
    with pytest.raises(Conflict) as refusal:
        cancel_paid_order(stripe_shop.context, paid.id, "cancel", "", "ann", NOW)
    refused = stripe_shop.read(paid)
    assert (refusal.value.code, refused.cancelled_at, refused.state) == ("refund_refused", None, PurchaseState.PAID)
    assert stripe_shop.shop.unit_counts("mug") == (2, 0, 1)


def test_refund_whose_answer_is_lost_is_refunded_once(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.fail_next("refunds.create", faults.closed(after_effect=True))
    with pytest.raises(Exception, match="did not answer"):
        refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    stripe_shop.pass_time(HOUR)
    done = stripe_shop.read(paid)
    assert [refund.completed_at is not None for refund in done.refunds] == [True], "by its event"
    assert len(stripe_shop.account.records("refund")) == 1


def test_unanswered_refund_does_not_stop_the_others(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 2))
    context, line = stripe_shop.context, paid.lines[0].id
    for key in ("first", "second"):
        refund_order(context, paid.id, a_refund_request((line, 1), key=key, restock=True), NOW)
    stripe_shop.account.advance(HOUR)
    stripe_shop.account.fail_next("refunds.retrieve", faults.closed(after_effect=False))
    with pytest.raises(Exception, match="did not answer"):
        finish_refunds(context, stripe_shop.read(paid), stripe_shop.now)
    states = [refund.completed_at is not None for refund in stripe_shop.read(paid).refunds]
    assert states == [False, True]
    assert stripe_shop.shop.unit_counts("mug") == (2, 0, 1)


# Restocking by target.


def an_order_with_requested_refunds(shop: ShopFixture, units: list[int]) -> tuple[Purchase, list[Refund]]:
    """Store an order of six units in three holds, with a refund that restocks for each number of units."""
    shop.put_drop("mug", stock=6)
    paid = shop.pay(("mug", 6))
    order = paid
    for number, quantity in enumerate(units):
        request = RefundRequest(f"key-{number}", "", ((paid.lines[0].id, quantity),), True, "ann")
        order = with_refund(order, request, allocate_refund(order, request), NOW)
        shop.context.purchases.replace(order)
    return order, list(order.refunds)


SUCCEEDED, FAILED = RefundStatus.SUCCEEDED, RefundStatus.FAILED


@pytest.mark.parametrize("order_of_ends", list(permutations(range(3))))
@pytest.mark.parametrize("failing", [None, 0, 1, 2])
def test_units_go_back_once_in_any_order_of_ends(
    shop: ShopFixture, order_of_ends: tuple[int, ...], failing: int | None
) -> None:
    """A refund that fails after it was done keeps its units in stock; they are not put back again."""
    units = [1, 2, 3]
    order, refunds = an_order_with_requested_refunds(shop, units)
    back = 0
    for index in order_of_ends:
        made = ProviderRefund(f"re_{index}", refunds[index].amount)
        order = record_answer(shop.context, order, refunds[index].id, made, NOW)
        back += units[index]
        assert shop.unit_counts("mug") == (back, 0, 6 - back)
        if index == failing:
            made = ProviderRefund(f"re_{index}", refunds[index].amount, None, FAILED, "declined")
            order = record_answer(shop.context, order, refunds[index].id, made, NOW)
            assert shop.unit_counts("mug") == (back, 0, 6 - back)
    if failing is not None:
        again = RefundRequest("again", "", ((order.lines[0].id, units[failing]),), True, "ann")
        order = with_refund(order, again, allocate_refund(order, again), NOW)
        shop.context.purchases.replace(order)
        order = record_answer(shop.context, order, "rf_4", ProviderRefund("re_4", order.refunds[3].amount), NOW)
        assert order.refunds[3].restocked
    assert shop.unit_counts("mug") == (6, 0, 0)


@pytest.mark.parametrize("verb", ["restock", "get_hold_statuses"])
def test_overtaken_worker_restocks_nothing_twice(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    order, refunds = an_order_with_requested_refunds(shop, [1, 2])

    def rival() -> None:
        record_answer(shop.context, shop.read(order.id), "rf_2", ProviderRefund("re_2", refunds[1].amount), NOW)

    once(monkeypatch, Stock, verb, before=rival)
    record_answer(shop.context, order, "rf_1", ProviderRefund("re_1", refunds[0].amount), NOW)
    if verb == "restock":
        assert [refund.restocked for refund in shop.read(order.id).refunds] == [True, True]
        assert shop.unit_counts("mug") == (3, 0, 3)


def test_worker_that_died_before_restocking_is_finished_even_if_the_refund_failed_since(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, refunds = an_order_with_requested_refunds(shop, [2])

    def dies() -> None:
        raise SystemExit

    once(monkeypatch, Stock, "restock", before=dies)
    with pytest.raises(SystemExit):
        record_answer(shop.context, order, "rf_1", ProviderRefund("re_1", refunds[0].amount), NOW)
    assert shop.unit_counts("mug") == (0, 0, 6)
    record_provider_refund(
        shop.context, order.id, ProviderRefund("re_1", refunds[0].amount, None, FAILED, "declined"), NOW
    )
    assert shop.unit_counts("mug") == (2, 0, 4)
    assert shop.read(order.id).refunds[0].restocked


def test_sandbox_refund_is_done_at_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    paid = shop.pay(("mug", 2))
    _, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 2), restock=True), NOW)
    assert (refund.completed_at, refund.restocked) == (NOW, True)


def test_outcome_unknown_is_no_failure(stripe_shop: LedgerShop) -> None:
    paid = stripe_shop.pay(("mug", 1))
    stripe_shop.account.fail_next("refunds.create", faults.closed(after_effect=False))
    with pytest.raises(Exception, match="did not answer") as raised:
        refund_order(stripe_shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    assert isinstance(raised.value.__cause__, OutcomeUnknownError)
    assert stripe_shop.read(paid).refunds[0].is_pending
