"""Where stream handlers send to: queues and the event bus. The only file here that knows SQS and EventBridge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

_BATCH = 10  # what SendMessageBatch and PutEvents take at once


class NotSentError(Exception):
    """Some of a batch did not go out. The caller's batch must come again; what did go out then goes twice."""


def _batches(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(things), _BATCH):
        yield things[start : start + _BATCH]


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of JSON messages."""

    sqs: SQSClient
    url: str

    def send(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Send messages, ten a call. ``NotSentError`` when the queue refused any of them."""
        for batch in _batches(messages):
            answer = self.sqs.send_message_batch(
                QueueUrl=self.url,
                Entries=[{"Id": str(index), "MessageBody": json.dumps(message)} for index, message in enumerate(batch)],
            )
            if answer.get("Failed"):
                raise NotSentError(f"{len(answer['Failed'])} messages: {answer['Failed'][0].get('Code')}")


@dataclass(frozen=True, slots=True)
class Bus:
    """The event bus: CloudEvents as details of EventBridge events."""

    events: EventBridgeClient
    name: str

    def publish(self, cloud_events: Sequence[Mapping[str, Any]]) -> None:
        """Publish CloudEvents, ten a call. ``NotSentError`` when the bus refused any of them."""
        for batch in _batches(cloud_events):
            answer = self.events.put_events(
                Entries=[
                    {
                        "EventBusName": self.name,
                        "Source": "dev.livedrop",
                        "DetailType": event["type"],
                        "Detail": json.dumps(event),
                    }
                    for event in batch
                ]
            )
            if answer["FailedEntryCount"]:
                code = next(entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry)
                raise NotSentError(f"{answer['FailedEntryCount']} events: {code}")
