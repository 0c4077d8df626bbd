"""Queues, a bus and finance's office, in the in-process emulator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.streams.store import EventBus, Queue
from tests.finance.conftest import office

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["office"]


@dataclass(frozen=True)
class Post:
    """Queues and a bus, and what went out on them."""

    sqs: SQSClient
    captures: Queue
    ledger: Queue
    bus: EventBus
    heard: str

    def sent(self, queue: Queue) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self._drain(queue.url)]

    def published(self) -> list[dict[str, Any]]:
        """The CloudEvents on the bus, as a rule of type ``dev.livedrop.order.*`` delivers them."""
        return [json.loads(body)["detail"] for body in self._drain(self.heard)]

    def _drain(self, url: str) -> list[str]:
        bodies: list[str] = []
        while True:
            messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return bodies
            bodies += [message.get("Body", "") for message in messages]


@pytest.fixture
def post(moto_aws: None) -> Post:
    sqs, events = boto3.client("sqs"), boto3.client("events")
    captures, ledger, heard = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("captures", "ledger", "heard"))
    events.create_event_bus(Name="orders")
    pattern = json.dumps({"source": ["dev.livedrop"], "detail-type": [{"prefix": "dev.livedrop.order."}]})
    events.put_rule(Name="all", EventBusName="orders", EventPattern=pattern)
    arn = sqs.get_queue_attributes(QueueUrl=heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="all", EventBusName="orders", Targets=[{"Id": "heard", "Arn": arn}])
    return Post(sqs, Queue(sqs, captures), Queue(sqs, ledger), EventBus(events, "orders"), heard)


def a_batch(*messages: Any) -> dict[str, Any]:
    """An SQS event as Lambda delivers it; text stands as it is."""
    bodies = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    return {"Records": [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}
