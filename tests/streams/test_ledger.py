"""The ledger queue: entries for the ledger, events for the bus."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

import pytest

from chalicelib.finance import entries_of
from chalicelib.purchase import Dispute, DisputeLoss, RefundLine
from chalicelib.streams.ledger import post_ledger
from chalicelib.streams.messaging import EventBus, NotSentError
from tests.builders.messages import MessagingFixture
from tests.builders.movements import a_movement
from tests.builders.paid_orders import PAID_AT, PERSONAL, TIME_ZONE, a_paid_order, store_purchases, with_refund
from tests.finance.conftest import FinanceFixture
from tests.streams.conftest import a_queue_batch

FRIDAY = date(2026, 11, 27)


def a_message(purchase_id: str = "P1", **changes: Any) -> dict[str, Any]:
    standard = {"purchase_id": purchase_id, "version": 1, "paid": False, "refunds": [], "cancelled": False}
    standard |= {"failed_refunds": [], "disputes": []}
    return {**standard, **changes}


def run_ledger_worker(finance: FinanceFixture, bus: EventBus, *messages: Any) -> dict[str, Any]:
    return post_ledger(a_queue_batch(*messages), finance.purchases, finance.ledger, bus, TIME_ZONE)


def posted_entry_ids(finance: FinanceFixture) -> list[str]:
    return sorted(finance.ledger.read(finance.ledger.list_keys(FRIDAY)).entries)


NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}


def test_paid_order_is_posted_and_published(finance: FinanceFixture, messaging: MessagingFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    assert run_ledger_worker(finance, messaging.bus, a_message(paid=True)) == NONE_FAILED
    posted = finance.ledger.read(finance.ledger.list_keys(FRIDAY)).entries
    assert posted == {entry.id: entry for entry in entries_of(a_paid_order(), TIME_ZONE)}
    (event,) = messaging.published()
    assert event == {
        "specversion": "1.0",
        "id": "P1-paid",
        "source": "/livedrop/orders",
        "type": "dev.livedrop.order.paid",
        "subject": "ord_P1",
        "time": "2026-11-27T19:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {
            "order_id": "ord_P1",
            "show_id": "tonight",
            "channel": "own-site",
            "currency": "GBP",
            "total": 2_945,
            "units": 2,
            "lines": [{"line_id": "li_1", "drop_id": "drop-1", "sku": "22421", "quantity": 2, "unit_price": 1_275}],
        },
    }


def test_refund_and_cancellation_post_and_publish_only_themselves(
    finance: FinanceFixture, messaging: MessagingFixture
) -> None:
    order = with_refund(with_refund(a_paid_order(), ("li_1", 1)), ("li_1", 1), shipping=True)
    store_purchases(finance.purchases, order.model_copy(update={"cancelled_at": PAID_AT + 60_000}))
    run_ledger_worker(finance, messaging.bus, a_message(refunds=["rf_2"], cancelled=True))
    assert posted_entry_ids(finance) == ["P1.refund.rf_2.li_1", "P1.refund.rf_2.shipping"]
    refund, cancellation = messaging.published()
    assert (refund["type"], refund["id"]) == ("dev.livedrop.order.refunded", "P1-rf_2")
    assert (refund["data"]["amount"], refund["data"]["lines"]) == (1_670, [{"line_id": "li_1", "quantity": 1}])
    assert (cancellation["type"], cancellation["id"]) == ("dev.livedrop.order.cancelled", "P1-cancelled")


def test_failed_refund_posts_its_reversal_and_publishes_the_failure(
    finance: FinanceFixture, messaging: MessagingFixture
) -> None:
    order = with_refund(with_refund(a_paid_order(), ("li_1", 1)), ("li_1", 1), shipping=True)
    failed = {"failure_code": "declined", "failed_at": PAID_AT + 120_000}
    refunds = (order.refunds[0], order.refunds[1].model_copy(update=failed))
    store_purchases(finance.purchases, order.model_copy(update={"refunds": refunds}))
    assert run_ledger_worker(finance, messaging.bus, a_message(failed_refunds=["rf_2"])) == NONE_FAILED
    assert posted_entry_ids(finance) == ["P1.refund.rf_2.li_1.failed", "P1.refund.rf_2.shipping.failed"]
    (event,) = messaging.published()
    assert (event["type"], event["id"]) == ("dev.livedrop.order.refund_failed", "P1-rf_2-failed")
    failure = {name: event["data"][name] for name in ("refund_id", "amount", "reason")}
    assert failure == {"refund_id": "rf_2", "amount": 1_670, "reason": "declined"}


def test_dispute_posts_what_it_took_and_what_came_back(finance: FinanceFixture, messaging: MessagingFixture) -> None:
    part = RefundLine(line_id="li_1", quantity=0, item_amount=1_275, tax=212)
    losses = [
        DisputeLoss(amount=1_275, lines=(part,), lost_at=PAID_AT + 1, restored_at=at) for at in (PAID_AT + 2, None)
    ]
    disputes = tuple(
        Dispute(id=name, status="lost", amount=1_275, currency="GBP", opened_at=PAID_AT, losses=(loss,))
        for name, loss in zip(("dp_1", "dp_2"), losses, strict=True)
    )
    store_purchases(finance.purchases, a_paid_order().model_copy(update={"disputes": disputes}))
    assert run_ledger_worker(finance, messaging.bus, a_message(disputes=["dp_1"])) == NONE_FAILED
    assert posted_entry_ids(finance) == ["P1.dispute.dp_1.lost.li_1", "P1.dispute.dp_1.lost.li_1.restored"]
    assert messaging.published() == []


def test_batch_is_one_ledger_object(finance: FinanceFixture, messaging: MessagingFixture) -> None:
    store_purchases(finance.purchases, a_paid_order("P1"), a_paid_order("P2"))
    run_ledger_worker(finance, messaging.bus, a_message("P1", paid=True), a_message("P2", paid=True))
    assert len(finance.keys("ledger/")) == 1
    assert len(posted_entry_ids(finance)) == 4


def test_repeated_batch_changes_nothing_and_keeps_the_event_ids(
    finance: FinanceFixture, messaging: MessagingFixture
) -> None:
    store_purchases(finance.purchases, a_paid_order())
    run_ledger_worker(finance, messaging.bus, a_message(paid=True))
    before = finance.contents("ledger/")
    run_ledger_worker(finance, messaging.bus, a_message(paid=True))
    assert finance.contents("ledger/") == before
    assert [event["id"] for event in messaging.published()] == ["P1-paid", "P1-paid"]


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        {},
        a_message("GHOST", paid=True),
        a_message("P1", version=99, paid=True),
        a_message("P1", refunds=["rf_9"]),
    ],
)
def test_malformed_message_fails_alone(finance: FinanceFixture, messaging: MessagingFixture, bad: Any) -> None:
    store_purchases(finance.purchases, a_paid_order("P1"), a_paid_order("P2"))
    answer = run_ledger_worker(finance, messaging.bus, bad, a_message("P2", paid=True))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert posted_entry_ids(finance) == ["P2.sale.li_1", "P2.shipping"]
    assert [event["id"] for event in messaging.published()] == ["P2-paid"]


def test_bus_and_ledger_get_no_personal_data(finance: FinanceFixture, messaging: MessagingFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    run_ledger_worker(finance, messaging.bus, a_message(paid=True))
    text = str(messaging.published()) + str(finance.contents("ledger/"))
    assert [word for word in PERSONAL if word in text] == []


class RefusingBus:
    """A bus that refuses an event. EventBridge reports this in the answer, not as an error."""

    def put_events(self, **_: Any) -> dict[str, Any]:
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}


def test_refused_event_fails_the_batch(finance: FinanceFixture, messaging: MessagingFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    with pytest.raises(NotSentError, match="InternalFailure"):
        run_ledger_worker(finance, EventBus(RefusingBus(), "orders"), a_message(paid=True))  # type: ignore[arg-type]
    assert posted_entry_ids(finance) == ["P1.sale.li_1", "P1.shipping"], (
        "the entries of the failed batch stay, and a repeat writes the same"
    )


class Measuring:
    """A bus that accepts every call and stores its size."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.calls.append([len((one["Source"] + one["DetailType"] + one["Detail"]).encode()) for one in Entries])
        return {"FailedEntryCount": 0, "Entries": []}


def test_events_are_published_in_calls_that_the_bus_takes() -> None:
    bus = Measuring()
    large = [{"type": "dev.livedrop.order.paid", "data": "é" * (1_000 * number)} for number in range(14)]
    small = [{"type": "dev.livedrop.order.paid"} for _ in range(25)]
    EventBus(bus, "orders").publish(large + small)  # type: ignore[arg-type]
    assert sum(len(call) for call in bus.calls) == 14 + 25
    assert max(sum(call) for call in bus.calls) <= 256 * 1024
    assert max(len(call) for call in bus.calls) == 10


def test_movement_is_posted_without_an_event_even_before_its_order_exists(
    finance: FinanceFixture, messaging: MessagingFixture
) -> None:
    message = {"movement": asdict(a_movement())}
    assert run_ledger_worker(finance, messaging.bus, message, message) == NONE_FAILED
    assert posted_entry_ids(finance) == ["P1.movement.txn_1"]
    assert messaging.published() == []
