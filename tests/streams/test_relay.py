"""The relay: what a change of a purchase sets going."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from chalicelib import aws
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.streams.messaging import NotSentError, Queue
from chalicelib.streams.relay import relay_purchases
from tests.builders.messages import MessagingFixture
from tests.builders.paid_orders import PAID_AT, a_paid_order, with_refund

OPEN = a_paid_order(state=PurchaseState.OPEN, version=1, attempt=0, placed_at=None, paid_at=None)
PLACED = a_paid_order(state=PurchaseState.PLACED, version=2, paid_at=None)
WITH_NEXT_EPOCH = PLACED.model_copy(update={"version": 3, "epoch": 1})
PLACED_AGAIN = PLACED.model_copy(update={"version": 5, "attempt": 2})
PAID = a_paid_order(version=6)
WAITING = with_refund(PAID, ("li_1", 1), done_at=None)
REFUNDED = with_refund(PAID, ("li_1", 1)).model_copy(update={"version": 8})
CANCELLED = REFUNDED.model_copy(update={"version": 9, "cancelled_at": PAID_AT + 90_000})
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
def test_a_placed_attempt_is_sent_to_capture(
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
def test_other_changes_set_nothing_going(
    messaging: MessagingFixture, before: Purchase | None, after: Purchase | None
) -> None:
    assert relay_changes(messaging, (before, after)) == ([], [])


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (WITH_NEXT_EPOCH, PAID, {"version": 6, "paid": True, "refunds": [], "cancelled": False}),
        (WAITING, REFUNDED, {"version": 8, "paid": False, "refunds": ["rf_1"], "cancelled": False}),
        (REFUNDED, CANCELLED, {"version": 9, "paid": False, "refunds": [], "cancelled": True}),
        (None, CANCELLED, {"version": 9, "paid": True, "refunds": ["rf_1"], "cancelled": True}),
    ],
)
def test_a_change_of_the_ledger_is_sent_to_the_ledger_queue(
    messaging: MessagingFixture, before: Purchase | None, after: Purchase, changed: dict[str, Any]
) -> None:
    assert relay_changes(messaging, (before, after)) == ([], [{"purchase_id": "P1", **changed}])


def test_a_cancelled_cart_was_never_an_order(messaging: MessagingFixture) -> None:
    gone = OPEN.model_copy(update={"version": 2, "state": PurchaseState.CANCELLED, "cancelled_at": PAID_AT})
    assert relay_changes(messaging, (OPEN, gone)) == ([], [])


def test_items_of_other_kinds_are_passed_over(messaging: MessagingFixture) -> None:
    other = {"dynamodb": {"Keys": {"pk": {"S": "DROP#d"}, "sk": {"S": "LIVE"}}, "NewImage": {"n": {"N": "1"}}}}
    relay_purchases({"Records": [other, change(OPEN, PLACED)]}, messaging.captures, messaging.ledger)
    assert len(messaging.sent(messaging.captures)) == 1


def test_more_than_ten_are_sent_in_several_calls(messaging: MessagingFixture) -> None:
    captures, _ = relay_changes(messaging, *[(OPEN, PLACED)] * 23)
    assert len(captures) == 23


def test_no_personal_data_goes_onto_a_queue(messaging: MessagingFixture) -> None:
    assert "Ada" not in str(relay_changes(messaging, (OPEN, PLACED), (WITH_NEXT_EPOCH, PAID), (None, CANCELLED)))


class RefusingQueue:
    """A queue service that refuses one message of each batch, as SQS reports it."""

    def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return {"Successful": [], "Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}


def test_a_message_that_was_not_taken_makes_the_batch_come_again(messaging: MessagingFixture) -> None:
    refusing = Queue(RefusingQueue(), "url")  # type: ignore[arg-type]
    with pytest.raises(NotSentError, match="InternalError"):
        relay_purchases({"Records": [change(OPEN, PLACED)]}, refusing, messaging.ledger)
    with pytest.raises(NotSentError):
        relay_purchases({"Records": [change(WITH_NEXT_EPOCH, PAID)]}, messaging.captures, refusing)


def test_a_queue_that_is_gone_makes_the_batch_come_again(messaging: MessagingFixture) -> None:
    sqs = boto3.client("sqs")
    sqs.delete_queue(QueueUrl=messaging.captures.url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        relay_purchases({"Records": [change(OPEN, PLACED)]}, messaging.captures, messaging.ledger)
