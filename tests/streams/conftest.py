"""Queues, a bus and the finance package, in the in-process emulator."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from chalicelib.streams.messaging import EventBus, Queue
from tests.builders.messages import MessagingFixture
from tests.finance.conftest import finance

__all__ = ["finance"]


@pytest.fixture
def messaging(moto_aws: None) -> MessagingFixture:
    sqs, events = boto3.client("sqs"), boto3.client("events")
    captures, ledger, delivered = (
        sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("captures", "ledger", "heard")
    )
    events.create_event_bus(Name="orders")
    pattern = json.dumps({"source": ["dev.livedrop"], "detail-type": [{"prefix": "dev.livedrop.order."}]})
    events.put_rule(Name="all", EventBusName="orders", EventPattern=pattern)
    arn = sqs.get_queue_attributes(QueueUrl=delivered, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="all", EventBusName="orders", Targets=[{"Id": "heard", "Arn": arn}])
    return MessagingFixture(sqs, Queue(sqs, captures), Queue(sqs, ledger), EventBus(events, "orders"), delivered)


def a_queue_batch(*messages: Any, delivery: int = 1) -> dict[str, Any]:
    """Build an SQS event as Lambda delivers it. A text becomes the body without a change."""
    bodies = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    attributes = {"ApproximateReceiveCount": str(delivery)}
    return {
        "Records": [
            {"messageId": f"m{number}", "body": body, "attributes": attributes} for number, body in enumerate(bodies)
        ]
    }
