"""Store the events of payment providers in the commerce table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.payments.events import EventKind, ProviderEvent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


EVENT_RETENTION: Final[Instant] = 90 * DAY
"""How long an event is stored, and its id recognised; then the table's time to live deletes it."""


@dataclass(frozen=True, slots=True)
class EventStore:
    """Events by provider and id. Each is stored before it is processed; the table's stream enqueues it."""

    dynamodb: DynamoDBClient
    commerce_table: str

    def add(self, event: ProviderEvent, now: Instant) -> bool:
        """Store an event. False: it is stored already. 1 WCU."""
        record = {name: value for name, value in asdict(event).items() if value is not None}
        key = f"EVENT#{event.provider}#{event.id}"
        item = {"pk": key, "sk": "EVENT", **record, "received_at": now, "expires_at": (now + EVENT_RETENTION) // SECOND}
        try:
            self.dynamodb.put_item(
                TableName=self.commerce_table, Item=aws.to_item(item), ConditionExpression="attribute_not_exists(pk)"
            )
        except ClientError as error:
            if not aws.is_condition_failure(error):
                raise
            return False
        return True

    def read(self, provider: str, event_id: str) -> ProviderEvent | None:
        """Read a stored event. One consistent read."""
        key = {"pk": {"S": f"EVENT#{provider}#{event_id}"}, "sk": {"S": "EVENT"}}
        answer = self.dynamodb.get_item(TableName=self.commerce_table, Key=key, ConsistentRead=True)
        return _to_event(aws.from_item(answer["Item"])) if "Item" in answer else None


def _to_event(record: Mapping[str, Any]) -> ProviderEvent:
    known = {name: record[name] for name in ProviderEvent.__slots__ if name in record}
    return ProviderEvent(**known | {"kind": EventKind(record["kind"])})
