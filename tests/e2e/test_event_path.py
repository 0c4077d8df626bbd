"""Orders become paid by the deployed functions and by nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.aws.maintenance import invoke_maintenance
from infra.local.local_state import aws_client
from infra.local.mappings import pause_mappings
from tests.e2e.buyer import completed_within, place_order, session_status

pytestmark = pytest.mark.e2e


def test_orders_are_paid_only_while_event_mappings_are_enabled(stack: dict[str, Any]) -> None:
    functions = aws_client(stack, "lambda")
    with _paused_mappings(functions):
        orders = [place_order(stack, "scissor") for _ in range(5)]
        assert not completed_within(stack, orders, seconds=4)
        assert {session_status(stack, order) for order in orders} == {"complete_in_progress"}
    assert completed_within(stack, orders, seconds=60)


def test_order_whose_message_was_lost_is_paid_after_recovery(stack: dict[str, Any]) -> None:
    functions = aws_client(stack, "lambda")
    with _paused_mappings(functions):
        order = place_order(stack, "scissor")
        _resume_streams(functions)
        assert _delete_messages(stack, order, until=order) >= 1
        # The relay sends a message twice when its call fails after the queue took it. Stream records keep their order:
        # once a later order's message arrives, no message of this order is still to come.
        later = place_order(stack, "scissor")
        _delete_messages(stack, order, until=later)
    assert completed_within(stack, [later], seconds=60)
    assert not completed_within(stack, [order], seconds=3)
    with _paused_mappings(functions):  # so that a recovery by the local stack itself cannot pay the order first
        _backdate_order(stack, order)
        assert invoke_maintenance(functions, stack["maintenance_function"])["enqueued"] == 1
    assert completed_within(stack, [order], seconds=60)


@contextmanager
def _paused_mappings(functions: Any) -> Iterator[None]:
    pause_mappings(functions, paused=True)
    try:
        yield
    finally:
        pause_mappings(functions, paused=False)


def _resume_streams(functions: Any) -> None:
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if ":sqs:" not in mapping["EventSourceArn"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def _delete_messages(stack: dict[str, Any], order: str, *, until: str) -> int:
    """Delete an order's messages from the capture queue until a message of ``until`` arrives. Returns their number.

    Every other message stays. The queue may hold messages of earlier tests. A message that a worker failed to process
    becomes visible again after its timeout, and a message that waits for its buyer after its delay.
    """
    sqs, url = aws_client(stack, "sqs"), stack["queues"]["CaptureQueueUrl"]
    deleted, others, arrived = 0, [], False
    deadline = time.monotonic() + 60
    while not arrived:
        assert time.monotonic() < deadline, "the relay sent no message"
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=120)
        for message in received.get("Messages", []):
            purchase_id = json.loads(message["Body"]).get("purchase_id")
            arrived = arrived or purchase_id == until.removeprefix("chk_")
            if purchase_id == order.removeprefix("chk_"):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                deleted += 1
            else:
                others.append(message["ReceiptHandle"])
    for handle in others:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return deleted


def _backdate_order(stack: dict[str, Any], session_id: str) -> None:
    """Move the instant of placing two minutes back, through the AWS API."""
    key = {"pk": {"S": f"PURCHASE#{session_id.removeprefix('chk_')}"}, "sk": {"S": "PURCHASE"}}
    aws_client(stack, "dynamodb").update_item(
        TableName=stack["commerce_table"],
        Key=key,
        UpdateExpression="SET placed_at = placed_at - :two_minutes",
        ExpressionAttributeValues={":two_minutes": {"N": "120000"}},
    )
