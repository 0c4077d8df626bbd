"""The relay: the messages that follow from a change of a purchase."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from chalicelib import aws
from chalicelib.payments import MovementStore, movement_from_record
from chalicelib.purchase import Dispute, DisputeLoss, Purchase, PurchaseState
from chalicelib.streams.messaging import NotSentError, Queue
from chalicelib.streams.relay import relay_purchases
from tests.builders.messages import MessagingFixture
from tests.builders.movements import a_movement
from tests.builders.paid_orders import PAID_AT, a_paid_order, with_refund
from tests.conftest import Tables

OPEN = a_paid_order(state=PurchaseState.OPEN, version=1, attempt=0, placed_at=None, paid_at=None)
PLACED = a_paid_order(state=PurchaseState.PLACED, version=2, paid_at=None)
WITH_NEXT_EPOCH = PLACED.model_copy(update={"version": 3, "epoch": 1})
PLACED_AGAIN = PLACED.model_copy(update={"version": 5, "attempt": 2})
PAID = a_paid_order(version=6)
WAITING = with_refund(PAID, ("li_1", 1), done_at=None)
REFUNDED = with_refund(PAID, ("li_1", 1)).model_copy(update={"version": 8})
CANCELLED = REFUNDED.model_copy(update={"version": 9, "cancelled_at": PAID_AT + 90_000})
FAILED = REFUNDED.model_copy(
    update={
        "version": 9,
        "refunds": (
            REFUNDED.refunds[0].model_copy(update={"failure_code": "declined", "failed_at": PAID_AT + 99_000}),
        ),
    }
)
LOSS = DisputeLoss(amount=100, lost_at=PAID_AT + 99_000)
DISPUTE = Dispute(id="dp_1", status="lost", amount=100, currency="GBP", opened_at=PAID_AT, losses=(LOSS,))
LOST = PAID.model_copy(update={"version": 7, "disputes": (DISPUTE,)})
WON = DISPUTE.model_copy(update={"losses": (LOSS.model_copy(update={"restored_at": PAID_AT + 100_000}),)})
RESTORED = LOST.model_copy(update={"version": 8, "disputes": (WON,)})
ERASED = PAID.model_copy(update={"version": 7, "buyer": None, "destination": None})


def image(purchase: Purchase) -> aws.Item:
    record = purchase.model_dump(exclude_defaults=True, exclude_none=True)
    return aws.to_item({"pk": f"PURCHASE#{purchase.id}", "sk": "PURCHASE", **record})


def change(before: Purchase | None, after: Purchase | None) -> dict[str, Any]:
    one: dict[str, Any] = {"Keys": {"pk": {"S": "PURCHASE#P1"}, "sk": {"S": "PURCHASE"}}}
    if before is not None:
        one["OldImage"] = image(before)
    if after is not None:
        one["NewImage"] = image(after)
    return {"dynamodb": one}


def relay_changes(
    messaging: MessagingFixture, *changes: tuple[Purchase | None, Purchase | None]
) -> tuple[list[Any], list[Any]]:
    relay_purchases({"Records": [change(*one) for one in changes]}, messaging.captures, messaging.ledger)
    return messaging.sent(messaging.captures), messaging.sent(messaging.ledger)


@pytest.mark.parametrize(
    ("before", "after", "attempt"),
    [(OPEN, PLACED, 1), (None, PLACED, 1), (PLACED, PLACED_AGAIN, 2), (OPEN, PLACED_AGAIN, 2)],
)
def test_placed_attempt_is_sent_to_the_capture_queue(
    messaging: MessagingFixture, before: Purchase | None, after: Purchase, attempt: int
) -> None:
    assert relay_changes(messaging, (before, after)) == ([{"purchase_id": "P1", "attempt": attempt}], [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, OPEN),
        (PLACED, WITH_NEXT_EPOCH),
        (PLACED, OPEN),
        (PAID, ERASED),
        (PAID, WAITING),
        (CANCELLED, None),
        (PAID, PAID),
    ],
)
def test_other_changes_send_no_message(
    messaging: MessagingFixture, before: Purchase | None, after: Purchase | None
) -> None:
    assert relay_changes(messaging, (before, after)) == ([], [])


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (WITH_NEXT_EPOCH, PAID, {"version": 6, "paid": True}),
        (WAITING, REFUNDED, {"version": 8, "refunds": ["rf_1"]}),
        (REFUNDED, CANCELLED, {"version": 9, "cancelled": True}),
        (None, CANCELLED, {"version": 9, "paid": True, "refunds": ["rf_1"], "cancelled": True}),
        (REFUNDED, FAILED, {"version": 9, "failed_refunds": ["rf_1"]}),
        (PAID, LOST, {"version": 7, "disputes": ["dp_1"]}),
        (LOST, RESTORED, {"version": 8, "disputes": ["dp_1"]}),
    ],
)
def test_ledger_change_is_sent_to_the_ledger_queue(
    messaging: MessagingFixture, before: Purchase | None, after: Purchase, changed: dict[str, Any]
) -> None:
    nothing: dict[str, Any] = {"paid": False, "cancelled": False}
    nothing |= {name: [] for name in ("refunds", "failed_refunds", "allocated_refunds", "disputes")}
    assert relay_changes(messaging, (before, after)) == ([], [{"purchase_id": "P1", **nothing, **changed}])


def test_cancelled_cart_sends_no_message(messaging: MessagingFixture) -> None:
    gone = OPEN.model_copy(update={"version": 2, "state": PurchaseState.CANCELLED, "cancelled_at": PAID_AT})
    assert relay_changes(messaging, (OPEN, gone)) == ([], [])


def test_items_of_other_kinds_are_skipped(messaging: MessagingFixture) -> None:
    other = {"dynamodb": {"Keys": {"pk": {"S": "DROP#d"}, "sk": {"S": "LIVE"}}, "NewImage": {"n": {"N": "1"}}}}
    relay_purchases({"Records": [other, change(OPEN, PLACED)]}, messaging.captures, messaging.ledger)
    assert len(messaging.sent(messaging.captures)) == 1


def test_more_than_ten_messages_are_sent_in_several_calls(messaging: MessagingFixture) -> None:
    captures, _ = relay_changes(messaging, *[(OPEN, PLACED)] * 23)
    assert len(captures) == 23


def test_queues_get_no_personal_data(messaging: MessagingFixture) -> None:
    assert "Ada" not in str(relay_changes(messaging, (OPEN, PLACED), (WITH_NEXT_EPOCH, PAID), (None, CANCELLED)))


class RefusingQueue:
    """A queue service that refuses one message of each batch. SQS reports this in the answer."""

    def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}


def test_refused_message_fails_the_batch(messaging: MessagingFixture) -> None:
    refusing = Queue(RefusingQueue(), "url")  # type: ignore[arg-type]
    with pytest.raises(NotSentError, match="InternalError"):
        relay_purchases({"Records": [change(OPEN, PLACED)]}, refusing, messaging.ledger)
    with pytest.raises(NotSentError):
        relay_purchases({"Records": [change(WITH_NEXT_EPOCH, PAID)]}, messaging.captures, refusing)


def test_missing_queue_fails_the_batch(messaging: MessagingFixture) -> None:
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=messaging.captures.url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        relay_purchases({"Records": [change(OPEN, PLACED)]}, messaging.captures, messaging.ledger)


def test_stored_movement_is_sent_whole_to_the_ledger_queue_once(messaging: MessagingFixture, tables: Tables) -> None:
    movement = a_movement(conversion_rate="1.0")
    MovementStore(tables.dynamodb, tables.commerce).add(movement)
    (item,) = tables.dynamodb.scan(TableName=tables.commerce)["Items"]
    record = {"Keys": {"pk": item["pk"], "sk": item["sk"]}, "NewImage": item}
    repeat = {**record, "OldImage": item}
    relay_purchases({"Records": [{"dynamodb": record}, {"dynamodb": repeat}]}, messaging.captures, messaging.ledger)
    assert messaging.sent(messaging.captures) == []
    (message,) = messaging.sent(messaging.ledger)
    assert movement_from_record(message["movement"]) == movement
