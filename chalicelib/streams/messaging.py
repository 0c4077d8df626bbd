"""Queues and the event bus. Only this file of the package knows SQS and EventBridge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef
    from mypy_boto3_sqs import SQSClient

_MAX_BATCH_ENTRIES = 10
_MAX_BATCH_BYTES = 256 * 1024
"""Limits of one SendMessageBatch and one PutEvents: entries, and bytes of all entries together."""
_SOURCE = "dev.livedrop"
_Message = TypeVar("_Message")


class NotSentError(Exception):
    """Part of a batch was not sent. The caller's batch has to be redelivered, and sends the other part twice."""


def _batches(messages: Iterable[_Message], size: Callable[[_Message], int]) -> Iterator[list[_Message]]:
    """Yield the messages in their order, as many as one call takes. A message that is too large goes alone."""
    batch: list[_Message] = []
    bytes_left = _MAX_BATCH_BYTES
    for message in messages:
        if batch and (len(batch) == _MAX_BATCH_ENTRIES or size(message) > bytes_left):
            yield batch
            batch, bytes_left = [], _MAX_BATCH_BYTES
        batch.append(message)
        bytes_left -= size(message)
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of JSON messages."""

    sqs: SQSClient
    url: str

    def send(self, messages: Sequence[Mapping[str, Any]], delay_seconds: int = 0) -> None:
        """Send messages, up to ten a call, with a delay of 0 to 900 s.

        Raises: ``NotSentError`` when the queue refused any of them.
        """
        for batch in _batches(map(json.dumps, messages), len):  # JSON is ASCII here: a character is a byte
            answer = self.sqs.send_message_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(index), "MessageBody": body, "DelaySeconds": delay_seconds}
                    for index, body in enumerate(batch)
                ],
            )
            if answer.get("Failed"):
                raise NotSentError(f"{len(answer['Failed'])} messages: {answer['Failed'][0].get('Code')}")

    def length(self) -> int:
        """Return how many messages wait or are being handled, approximately. Messages with a delay are left out."""
        found = self.sqs.get_queue_attributes(
            QueueUrl=self.url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@dataclass(frozen=True, slots=True)
class EventBus:
    """The event bus: CloudEvents as details of EventBridge events."""

    events: EventBridgeClient
    name: str

    def publish(self, cloud_events: Sequence[Mapping[str, Any]]) -> None:
        """Publish CloudEvents, up to ten a call.

        Raises: ``NotSentError`` when the bus refused any of them.
        """
        for batch in _batches(map(self._entry, cloud_events), _entry_bytes):
            answer = self.events.put_events(Entries=batch)
            if answer["FailedEntryCount"]:
                code = next(entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry)
                raise NotSentError(f"{answer['FailedEntryCount']} events: {code}")

    def _entry(self, event: Mapping[str, Any]) -> PutEventsRequestEntryTypeDef:
        detail = json.dumps(event)
        return {"EventBusName": self.name, "Source": _SOURCE, "DetailType": event["type"], "Detail": detail}


def _entry_bytes(entry: PutEventsRequestEntryTypeDef) -> int:
    """Return the size of an entry (EventBridge user guide, "Calculating PutEvents event entry size"). It is ASCII."""
    return sum(len(str(entry.get(name, ""))) for name in ("Source", "DetailType", "Detail"))
