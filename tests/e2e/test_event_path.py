"""Orders become paid by the deployed functions and by nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from infra.aws.maintenance import invoke_maintenance
from infra.local.local_state import aws_client
from infra.local.mappings import pause_mappings
from tests.e2e.buyer import completed_within, place_order, session_status

pytestmark = pytest.mark.e2e


def test_without_the_event_mappings_no_order_is_paid_and_with_them_all_are(stack: dict[str, Any]) -> None:
    functions = aws_client(stack, "lambda")
    pause_mappings(functions, paused=True)
    try:
        orders = [place_order(stack, "scissor") for _ in range(5)]
        assert not completed_within(stack, orders, seconds=4)
        assert {session_status(stack, order) for order in orders} == {"complete_in_progress"}
    finally:
        pause_mappings(functions, paused=False)
    assert completed_within(stack, orders, seconds=60)


def test_order_whose_message_was_lost_is_paid_after_recovery(stack: dict[str, Any]) -> None:
    functions, queue = aws_client(stack, "lambda"), aws_client(stack, "sqs")
    pause_mappings(functions, paused=True)
    try:
        order = place_order(stack, "scissor")
        _resume_streams(functions)
        _wait_for_message(queue, stack["queues"]["CaptureQueueUrl"])
        queue.purge_queue(QueueUrl=stack["queues"]["CaptureQueueUrl"])
    finally:
        pause_mappings(functions, paused=False)
    assert not completed_within(stack, [order], seconds=3)
    _backdate_order(stack, order)
    assert invoke_maintenance(functions, stack["maintenance_function"])["enqueued"] == 1
    assert completed_within(stack, [order], seconds=60)


def _resume_streams(functions: Any) -> None:
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if ":sqs:" not in mapping["EventSourceArn"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def _wait_for_message(queue: Any, url: str) -> None:
    name = "ApproximateNumberOfMessages"
    deadline = time.monotonic() + 60
    while queue.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name] == "0":
        assert time.monotonic() < deadline, "the relay sent nothing"
        time.sleep(0.1)


def _backdate_order(stack: dict[str, Any], session_id: str) -> None:
    """As if the order had been placed two minutes ago: its instant is moved through the AWS API."""
    key = {"pk": {"S": f"PURCHASE#{session_id.removeprefix('chk_')}"}, "sk": {"S": "PURCHASE"}}
    aws_client(stack, "dynamodb").update_item(
        TableName=stack["commerce_table"],
        Key=key,
        UpdateExpression="SET placed_at = placed_at - :two_minutes",
        ExpressionAttributeValues={":two_minutes": {"N": "120000"}},
    )
