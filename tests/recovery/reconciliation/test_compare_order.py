"""Each way in which an order and its movements can differ is found, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.instants import DAY, HOUR, MINUTE
from chalicelib.payments import Movement, MovementKind
from chalicelib.purchase import Dispute, Purchase, PurchaseState
from chalicelib.recovery.reconciliation.compare_order import (
    AttemptToProcess,
    DifferenceKind,
    DisputeToRecord,
    Finding,
    PaymentDifference,
    Period,
    RefundToRecord,
    compare_order,
)
from tests.builders.movements import a_movement
from tests.builders.paid_orders import PAID_AT, a_paid_order, with_refund

TOTAL = a_paid_order().totals.total
NOW = PAID_AT + 3 * DAY
PERIOD = Period("sandbox", PAID_AT - DAY, NOW - 5 * MINUTE)
CHARGE = a_movement(amount=TOTAL, charged_amount=TOTAL)
REFUNDED = with_refund(a_paid_order(), ("li_1", 1))
REFUND_AMOUNT = REFUNDED.refunds[0].amount


def moved(kind: MovementKind, amount: int, source_id: str = "re_1", **changes: Any) -> Movement:
    fields = {"kind": kind, "amount": amount, "charged_amount": amount, "fee": 0, "source_id": source_id}
    return a_movement(f"txn_{kind}_{source_id}", **fields | changes)


def found(purchase: Purchase | None, *movements: Movement, period: Period = PERIOD, now: int = NOW) -> list[Finding]:
    return list(compare_order(purchase, movements, period, now, orphans_since=PAID_AT))


def difference(kind: DifferenceKind, subject: str, expected: int, amount: int, currency: str = "GBP") -> Finding:
    return PaymentDifference(kind, "ord_P1", subject, expected, amount, currency)


def a_dispute(**changes: Any) -> Dispute:
    fields = {"id": "dp_1", "status": "open", "amount": TOTAL, "currency": "GBP", "opened_at": PAID_AT}
    return Dispute(**fields | {"withdrawn": TOTAL} | changes)


def test_an_order_that_agrees_with_its_movements_gives_no_finding() -> None:
    assert found(a_paid_order(), CHARGE) == []
    assert found(REFUNDED, CHARGE, moved(MovementKind.REFUND, -REFUND_AMOUNT)) == []


def test_part_of_an_order_that_was_captured_in_the_console_is_named_with_both_amounts() -> None:
    rest = moved(MovementKind.HOLD_RELEASED, 100 - TOTAL)
    assert found(a_paid_order(), CHARGE, rest) == [difference(DifferenceKind.AMOUNT, "sbx_P1#1", TOTAL, 100)]


def test_a_capture_in_another_currency_is_named() -> None:
    other = a_movement(amount=TOTAL, charged_amount=TOTAL, charged_currency="USD")
    named = difference(DifferenceKind.AMOUNT, "sbx_P1#1", TOTAL, TOTAL, "USD")
    assert found(a_paid_order(), other) == [named]


def test_settlement_in_another_currency_is_no_difference() -> None:
    settled = a_movement(amount=533_000, fee=8_000, currency="JPY", charged_amount=TOTAL, conversion_rate="181.3")
    assert found(a_paid_order(), settled) == []


@pytest.mark.parametrize("paid_at", [NOW - DAY, PERIOD.since - 1])
def test_a_charge_that_may_still_come_or_came_before_the_period_is_not_missing(paid_at: int) -> None:
    assert found(a_paid_order(paid_at=paid_at)) == []


def test_a_paid_order_without_its_charge_is_named_after_a_day() -> None:
    assert found(a_paid_order()) == [difference(DifferenceKind.MISSING, "sbx_P1#1", TOTAL, 0)]


def test_a_refund_that_failed_after_it_was_done_is_recorded_again() -> None:
    refund = moved(MovementKind.REFUND, -REFUND_AMOUNT)
    failure = moved(MovementKind.REFUND_FAILED, REFUND_AMOUNT)
    assert found(REFUNDED, CHARGE, refund, failure) == [RefundToRecord("P1", "re_1", REFUND_AMOUNT, "GBP")]


def test_a_console_refund_that_failed_moved_nothing() -> None:
    refund = moved(MovementKind.REFUND, -500, "re_9")
    assert found(a_paid_order(), CHARGE, refund) == [RefundToRecord("P1", "re_9", 500, "GBP")]
    assert found(a_paid_order(), CHARGE, refund, moved(MovementKind.REFUND_FAILED, 500, "re_9")) == []


def test_a_refund_of_another_amount_is_named_with_both() -> None:
    named = difference(DifferenceKind.REFUND, "re_1", REFUND_AMOUNT, 7)
    assert found(REFUNDED, CHARGE, moved(MovementKind.REFUND, -7)) == [named]


def test_a_done_refund_that_never_moved_is_named_after_a_day() -> None:
    assert found(REFUNDED, CHARGE) == [difference(DifferenceKind.REFUND, "re_1", REFUND_AMOUNT, 0)]
    young = with_refund(a_paid_order(), ("li_1", 1), done_at=NOW - DAY)
    assert found(young, CHARGE) == []


def test_a_refund_that_the_order_calls_failed_and_that_moved_is_named() -> None:
    failed = REFUNDED.refunds[0].model_copy(update={"failure_code": "declined", "failed_at": PAID_AT + HOUR})
    order = REFUNDED.model_copy(update={"refunds": (failed,)})
    refund, failure = moved(MovementKind.REFUND, -REFUND_AMOUNT), moved(MovementKind.REFUND_FAILED, REFUND_AMOUNT)
    assert found(order, CHARGE, refund) == [difference(DifferenceKind.REFUND, "re_1", 0, REFUND_AMOUNT)]
    assert found(order, CHARGE, refund, failure) == []


def test_a_dispute_is_recorded_while_it_is_open_unknown_or_has_another_amount() -> None:
    withdrawal = moved(MovementKind.DISPUTE, -TOTAL, "dp_1", fee=2_000)
    reversal = moved(MovementKind.DISPUTE_REVERSED, TOTAL, "dp_1")
    withdrawn = [DisputeToRecord("P1", "dp_1", TOTAL, "GBP")]
    assert found(a_paid_order(), CHARGE, withdrawal) == withdrawn
    assert found(a_paid_order(disputes=(a_dispute(),)), CHARGE, withdrawal) == withdrawn
    lost = a_paid_order(disputes=(a_dispute(status="lost", closed_at=PAID_AT + HOUR),))
    assert found(lost, CHARGE, withdrawal) == []
    assert found(lost, CHARGE, withdrawal, reversal) == [DisputeToRecord("P1", "dp_1", 0, "GBP")]
    won = a_paid_order(disputes=(a_dispute(status="won", withdrawn=0, closed_at=PAID_AT + HOUR),))
    assert found(won, CHARGE, withdrawal, reversal) == []


def test_money_of_another_payment_is_named_until_nothing_of_it_is_left() -> None:
    other = a_movement("txn_2", payment_id="sbx_P1#0", attempt=0, source_id="ch_0", amount=900, charged_amount=900)
    assert found(a_paid_order(), CHARGE, other) == [difference(DifferenceKind.CAPTURED, "sbx_P1#0", 0, 900)]
    refund = moved(MovementKind.REFUND, -900, payment_id="sbx_P1#0", attempt=0)
    assert found(a_paid_order(), CHARGE, other, refund) == []


def test_money_captured_for_an_order_on_hold_goes_to_the_worker_and_is_named_after_a_day() -> None:
    held = a_paid_order(state=PurchaseState.ON_HOLD, paid_at=None, updated_at=NOW - HOUR)
    process = AttemptToProcess("P1", 1)
    young = a_movement(amount=TOTAL, charged_amount=TOTAL, created_at=NOW - HOUR)
    assert found(held, young) == [process]
    assert found(held, CHARGE) == [process, difference(DifferenceKind.CAPTURED, "sbx_P1#1", 0, TOTAL)]
    assert found(held) == []


def test_earlier_attempts_are_looked_at_if_the_order_has_changed_since_the_last_comparison() -> None:
    third = a_paid_order(attempt=3, updated_at=PAID_AT)
    charge = a_movement(amount=TOTAL, charged_amount=TOTAL, attempt=3)
    assert found(third, charge) == [AttemptToProcess("P1", 1), AttemptToProcess("P1", 2)]
    assert list(compare_order(third, [charge], PERIOD, NOW, orphans_since=PAID_AT + 1)) == []


def test_movements_without_a_purchase_are_named_and_those_of_others_are_left_aside() -> None:
    assert found(None, CHARGE) == [difference(DifferenceKind.NO_ORDER, "sbx_P1#1", 0, TOTAL)]
    foreign = a_movement(purchase_id=None, is_foreign=True)
    payout = moved(MovementKind.PAYOUT, -900, "po_1", purchase_id=None)
    other_provider = a_movement(provider="stripe")
    assert found(None, foreign, payout, other_provider) == []


def test_a_payment_without_a_purchase_is_named_once_until_nothing_of_it_is_left() -> None:
    part, rest = moved(MovementKind.REFUND, -100), moved(MovementKind.REFUND, 100 - TOTAL, "re_2")
    assert found(None, CHARGE, part) == [difference(DifferenceKind.NO_ORDER, "sbx_P1#1", 0, TOTAL - 100)]
    assert found(None, CHARGE, part, rest) == []
    second = a_movement("txn_2", payment_id="sbx_P1#2", attempt=2, charged_amount=900)
    assert found(None, CHARGE, part, second, rest) == [difference(DifferenceKind.NO_ORDER, "sbx_P1#2", 0, 900)]


def test_orders_of_another_provider_are_left_aside() -> None:
    assert found(a_paid_order(), period=Period("stripe", PERIOD.since, PERIOD.until)) == []
