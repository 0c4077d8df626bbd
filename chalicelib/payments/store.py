"""Store the events and the balance movements of payment providers in the commerce table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.payments.events import EventKind, ProviderEvent
from chalicelib.payments.results import Movement, MovementKind

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
        return _put_new(self.dynamodb, self.commerce_table, item)

    def read(self, provider: str, event_id: str) -> ProviderEvent | None:
        """Read a stored event. One consistent read."""
        key = {"pk": {"S": f"EVENT#{provider}#{event_id}"}, "sk": {"S": "EVENT"}}
        answer = self.dynamodb.get_item(TableName=self.commerce_table, Key=key, ConsistentRead=True)
        return _to_event(aws.from_item(answer["Item"])) if "Item" in answer else None


def _put_new(dynamodb: DynamoDBClient, table: str, record: Mapping[str, Any]) -> bool:
    """Store an item that must not exist yet. False: it does. 1 WCU for each KB."""
    return aws.try_conditional_write(
        dynamodb.put_item,
        TableName=table,
        Item=aws.to_item(record),
        ConditionExpression="attribute_not_exists(pk)",
    )


def _to_event(record: Mapping[str, Any]) -> ProviderEvent:
    known = {name: record[name] for name in ProviderEvent.__slots__ if name in record}
    return ProviderEvent(**known | {"kind": EventKind(record["kind"])})


MOVEMENT_PREFIX: Final = "MOVE#"
"""A sort key that begins so is a movement's."""


@dataclass(frozen=True, slots=True)
class BalanceCursor:
    """How far the movements of a provider are stored: all that were created at or after ``since``, before ``until``."""

    provider: str
    since: Instant
    until: Instant


@dataclass(frozen=True, slots=True)
class MovementStore:
    """Movements of the shop's balance at the provider, once each by the provider's id.

    A movement of a purchase is stored beside it, under the purchase's own partition key. Others are kept by day. The
    table's stream sends each to the ledger. One item more is the cursor of the provider.
    """

    dynamodb: DynamoDBClient
    commerce_table: str

    def add(self, movement: Movement) -> bool:
        """Store a movement. False: it is stored already. 1 WCU."""
        record = {name: value for name, value in asdict(movement).items() if value is not None}
        item = {"pk": _partition_of(movement), "sk": f"{MOVEMENT_PREFIX}{movement.provider}#{movement.id}", **record}
        return _put_new(self.dynamodb, self.commerce_table, item)

    def begin(self, provider: str, since: Instant) -> BalanceCursor:
        """Return the provider's cursor; place it at ``since`` if it has none. One consistent read, and 1 WCU once."""
        found = self._read_cursor(provider)
        if found is not None:
            return found
        first = BalanceCursor(provider, since, since)
        item = {"pk": _account_partition(provider), "sk": _CURSOR, "since": since, "until": since}
        if _put_new(self.dynamodb, self.commerce_table, item):
            return first
        return self._read_cursor(provider) or first

    def advance(self, cursor: BalanceCursor, until: Instant) -> BalanceCursor:
        """Move a cursor on from exactly where it was. Return it as it is then: another run may have moved it. 1 WCU."""
        try:
            self.dynamodb.update_item(
                TableName=self.commerce_table,
                Key=_cursor_key(cursor.provider),
                UpdateExpression="SET #until = :until",
                ConditionExpression="#until = :before",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues=aws.to_item({":until": until, ":before": cursor.until}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            existing = aws.existing_item(error)
            if not aws.is_condition_failure(error) or existing is None:
                raise
            return _to_cursor(cursor.provider, existing)
        return replace(cursor, until=until)

    def _read_cursor(self, provider: str) -> BalanceCursor | None:
        answer = self.dynamodb.get_item(TableName=self.commerce_table, Key=_cursor_key(provider), ConsistentRead=True)
        return _to_cursor(provider, answer["Item"]) if "Item" in answer else None

    def of_purchase(self, purchase_id: str) -> list[Movement]:
        """Return the movements of a purchase, in the order of their ids. One consistent query."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.commerce_table,
            KeyConditionExpression="pk = :purchase AND begins_with(sk, :movement)",
            ExpressionAttributeValues=aws.to_item(
                {":purchase": f"PURCHASE#{purchase_id}", ":movement": MOVEMENT_PREFIX}
            ),
            ConsistentRead=True,
        )
        return [movement_from_item(item) for page in pages for item in page["Items"]]

    def scan(self) -> Iterator[Movement]:
        """Read every movement, in no order. Consistent: 1 RCU for each 4 KB of the table."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.commerce_table,
            FilterExpression="begins_with(sk, :movement)",
            ExpressionAttributeValues={":movement": {"S": MOVEMENT_PREFIX}},
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield movement_from_item(item)


def _partition_of(movement: Movement) -> str:
    if movement.purchase_id is not None:
        return f"PURCHASE#{movement.purchase_id}"
    return f"{_account_partition(movement.provider)}#{movement.created_at // DAY}"


_CURSOR: Final = "CURSOR"


def _account_partition(provider: str) -> str:
    return f"MOVEMENTS#{provider}"


def _cursor_key(provider: str) -> aws.Item:
    return aws.to_item({"pk": _account_partition(provider), "sk": _CURSOR})


def _to_cursor(provider: str, item: Mapping[str, Any]) -> BalanceCursor:
    record = aws.from_item(item)
    return BalanceCursor(provider, record["since"], record["until"])


def movement_from_item(item: Mapping[str, Any]) -> Movement:
    """Convert an item in DynamoDB's wire format, as a read or a stream delivers it."""
    return movement_from_record(aws.from_item(item))


def movement_from_record(record: Mapping[str, Any]) -> Movement:
    """Convert a record of a movement's fields, such as a message has."""
    known = {name: record[name] for name in Movement.__slots__ if name in record}
    return Movement(**known | {"kind": MovementKind(record["kind"])})


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The turns are taken. ``next_turns`` are the next free ones by name."""

    next_turns: dict[str, Instant]


@dataclass(frozen=True, slots=True)
class TurnsGuessed:
    """No turn was taken: a guess was wrong, or a line is too long. ``next_turns`` are the free ones at that instant."""

    next_turns: dict[str, Instant]


@dataclass(frozen=True, slots=True)
class TurnStore:
    """The next free turn of each endpoint of a provider, and of all together: one item, shared by all workers."""

    dynamodb: DynamoDBClient
    commerce_table: str
    provider: str

    def take(
        self, intervals: Mapping[str, Instant], in_line: set[str], *, now: Instant, latest: Instant
    ) -> TurnTaken | TurnsGuessed:
        """Move each bucket on by its interval, if all of their turns come by ``latest``. One conditional write, 1 WCU.

        ``in_line`` guesses the buckets whose next turn lies after ``now``. A wrong guess is refused, with the truth.
        """
        names = {f"#turn{number}": name for number, name in enumerate(intervals)}
        values = {f":interval{number}": interval for number, interval in enumerate(intervals.values())}
        changes, conditions = [], []
        for number, (alias, name) in enumerate(names.items()):
            base = alias if name in in_line else ":now"
            changes.append(f"{alias} = {base} + :interval{number}")
            waiting = f"{alias} > :now AND {alias} <= :latest"
            idle = f"(attribute_not_exists({alias}) OR {alias} <= :now) AND :now <= :latest"
            conditions.append(waiting if name in in_line else idle)
        try:
            answer = self.dynamodb.update_item(
                TableName=self.commerce_table,
                Key={"pk": {"S": f"PACE#{self.provider}"}, "sk": {"S": "PACE"}},
                UpdateExpression="SET " + ", ".join(changes),
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=aws.to_item(values | {":now": now, ":latest": latest}),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not aws.is_condition_failure(error):
                raise
            return TurnsGuessed(_next_turns(aws.existing_item(error) or {}))
        return TurnTaken(_next_turns(answer["Attributes"]))


def _next_turns(item: Mapping[str, Any]) -> dict[str, Instant]:
    return {name: value for name, value in aws.from_item(item).items() if name not in {"pk", "sk"}}
