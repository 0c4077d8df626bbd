"""Queues and a bus, with the messages that were sent to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.streams.messaging import EventBus, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class MessagingFixture:
    """Queues and a bus, and the messages that were sent to them."""

    sqs: SQSClient
    captures: Queue
    ledger: Queue
    bus: EventBus
    events_queue_url: str

    def sent(self, queue: Queue) -> list[dict[str, Any]]:
        """Receive and return the messages of a queue."""
        return [json.loads(body) for body in self._drain(queue.url)]

    def published(self) -> list[dict[str, Any]]:
        """Return the CloudEvents on the bus, as a rule of type ``dev.livedrop.order.*`` delivers them."""
        return [json.loads(body)["detail"] for body in self._drain(self.events_queue_url)]

    def _drain(self, url: str) -> list[str]:
        bodies: list[str] = []
        while True:
            messages = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            if not messages:
                return bodies
            bodies += [message.get("Body", "") for message in messages]
