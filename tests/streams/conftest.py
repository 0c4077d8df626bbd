"""Queues, a bus and finance's finance, in the in-process emulator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.streams.store import EventBus, Queue
from tests.finance.conftest import finance

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["finance"]


@dataclass(frozen=True)
class MessagingFixture:
    """Queues and a bus, and what went out on them."""

    sqs: SQSClient
    captures: Queue
    ledger: Queue
    bus: EventBus
    delivered_queue_url: str

    def sent(self, queue: Queue) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self._drain(queue.url)]

    def published(self) -> list[dict[str, Any]]:
        """The CloudEvents on the bus, as a rule of type ``dev.livedrop.order.*`` delivers them."""
        return [json.loads(body)["detail"] for body in self._drain(self.delivered_queue_url)]

    def _drain(self, url: str) -> list[str]:
        bodies: list[str] = []
        while True:
            messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return bodies
            bodies += [message.get("Body", "") for message in messages]


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


def an_sqs_event(*messages: Any) -> dict[str, Any]:
    """An SQS event as Lambda delivers it; text stands as it is."""
    bodies = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    return {"Records": [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}
