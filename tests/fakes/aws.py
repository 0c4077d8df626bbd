"""A fake AWS account: stored state that outlives processes, and streams, queues and a bus that tests deliver.

The services are in memory or in moto. Either way ``FakeAws`` records stream records, messages and events. A test
decides when they are delivered, how often, and to which process.
"""

# ruff: noqa: N803 - the arguments are named as boto3 names them.
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import boto3
from botocore.exceptions import ClientError

from chalicelib.aws import Item, from_item
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.strict_dynamodb import SinglePagePaginator

Record = dict[str, Any]

TABLES = ("stock", "commerce", "sandbox")
BUCKET = "finance-test"
BUS = "orders"


class FakeS3:
    """S3 in memory, with one bucket."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def put_object(
        self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, IfNoneMatch: str | None = None
    ) -> dict[str, Any]:
        if IfNoneMatch == "*" and Key in self.bodies:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        self.bodies[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.bodies:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": BytesIO(self.bodies[Key])}

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "") -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in sorted(self.bodies) if key.startswith(Prefix)]}

    def get_paginator(self, operation: str) -> SinglePagePaginator:
        return SinglePagePaginator(getattr(self, operation))


class _FakeMessaging:
    """SQS and EventBridge in memory: they accept every call, and ``FakeAws`` records it."""

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> dict[str, Any]:
        return {"MessageId": "m"}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in Entries]}


@dataclass
class FakeAws:
    """The clients of one account, and everything that the account has not delivered yet."""

    clients: Mapping[str, Any]
    tables: Mapping[str, str]
    """Table names in the account, by the names of ``TABLES``."""
    queue_urls: Mapping[str, str]
    bucket: str = BUCKET
    bus: str = BUS
    streams: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"commerce": [], "stock": []})
    """Stream records that are not delivered yet, by table."""
    queues: dict[str, list[str]] = field(default_factory=dict)
    """Bodies of messages that are not deleted yet, by queue."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Published CloudEvents."""
    after_write: Callable[[str], None] = lambda table: None
    """Called after each write with the name of the table, or ``objects``."""

    def perform(self, service: str, operation: str, arguments: dict[str, Any]) -> Any:
        """Make a call, and record its stream records, messages and events."""
        targets = [(self._name(table), key) for table, key in _write_targets(operation, arguments)]
        before = [self._item(*place) for place in targets]
        answer = getattr(self.clients[service], operation)(**arguments)
        for (table, key), old in zip(targets, before, strict=True):
            self._record_change(table, key, old)
        self._record_messages(operation, arguments)
        for table in {table for table, _ in targets} or ({"objects"} if operation == "put_object" else ()):
            self.after_write(table)
        return answer

    def records(self, table: str) -> list[Record]:
        """Return every item of a table as a plain record."""
        dynamodb = self.clients["dynamodb"]
        if isinstance(dynamodb, FakeDynamoDB):
            return [item for place, item in dynamodb.items.items() if place[0] == self.tables[table]]
        pages = dynamodb.get_paginator("scan").paginate(TableName=self.tables[table])
        return [from_item(item) for page in pages for item in page["Items"]]

    def objects(self) -> dict[str, bytes]:
        """Return every object, by key."""
        s3 = self.clients["s3"]
        if isinstance(s3, FakeS3):
            return dict(s3.bodies)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def is_quiet(self) -> bool:
        """Whether all streams and queues are empty."""
        return not any(self.streams.values()) and not any(self.queues.values())

    def fingerprint(self) -> int:
        """Hash the stored state and everything undelivered."""
        items = [sorted(map(repr, self.records(table))) for table in TABLES]
        return hash(repr((items, sorted(self.objects().items()), self.streams, self.queues, self.events)))

    def fork(self) -> FakeAws:
        """Copy an account in memory."""
        table, objects = FakeDynamoDB(), FakeS3()
        table.items, objects.bodies = dict(self.clients["dynamodb"].items), dict(self.clients["s3"].bodies)
        return FakeAws(
            {**self.clients, "dynamodb": table, "s3": objects},
            self.tables,
            self.queue_urls,
            self.bucket,
            self.bus,
            {name: copy(records) for name, records in self.streams.items()},
            {name: copy(bodies) for name, bodies in self.queues.items()},
            copy(self.events),
        )

    def _name(self, stored_name: str) -> str:
        return next(name for name, known in self.tables.items() if known == stored_name)

    def _item(self, table: str, key: Item) -> Item | None:
        answer = self.clients["dynamodb"].get_item(TableName=self.tables[table], Key=key, ConsistentRead=True)
        found: Item | None = answer.get("Item")
        return found

    def _record_change(self, table: str, key: Item, old: Item | None) -> None:
        if table not in self.streams or (new := self._item(table, key)) == old:
            return
        images = {"OldImage": old, "NewImage": new}
        change = {"Keys": key} | {name: image for name, image in images.items() if image is not None}
        self.streams[table].append({"eventName": "MODIFY" if old else "INSERT", "dynamodb": change})

    def _record_messages(self, operation: str, arguments: dict[str, Any]) -> None:
        if operation == "send_message":
            self._enqueue(arguments["QueueUrl"], arguments["MessageBody"])
        elif operation == "send_message_batch":
            for entry in arguments["Entries"]:
                self._enqueue(arguments["QueueUrl"], entry["MessageBody"])
        elif operation == "put_events":
            self.events += [json.loads(entry["Detail"]) for entry in arguments["Entries"]]

    def _enqueue(self, url: str, body: str) -> None:
        name = next(name for name, known in self.queue_urls.items() if known == url)
        self.queues.setdefault(name, []).append(body)


def _write_targets(operation: str, arguments: dict[str, Any]) -> list[tuple[str, Item]]:
    """Return the tables and keys that a call may write."""
    if operation == "transact_write_items":
        writes = [request for item in arguments["TransactItems"] for request in item.values()]
    elif operation in {"put_item", "update_item", "delete_item"}:
        writes = [arguments]
    else:
        return []
    return [(write["TableName"], _key(write)) for write in writes]


def _key(write: dict[str, Any]) -> Item:
    attributes = write.get("Key") or write["Item"]
    return {name: attributes[name] for name in ("pk", "sk") if name in attributes}


QUEUES = ("captures", "ledger", "exports", "parked")


def in_memory_aws() -> FakeAws:
    """Make an empty account in memory."""
    messaging = _FakeMessaging()
    clients = {"dynamodb": FakeDynamoDB(), "s3": FakeS3(), "sqs": messaging, "events": messaging}
    return FakeAws(clients, {name: name for name in TABLES}, {name: name for name in QUEUES})


def moto_aws(tables: Mapping[str, str], prefix: str) -> FakeAws:
    """Make an account in moto. ``tables`` are the names of existing tables, by logical id."""
    names = {name: tables[f"{name.title()}Table"] for name in TABLES}
    bucket, bus = f"{prefix}{BUCKET}", f"{prefix}{BUS}"
    clients: dict[str, Any] = {"dynamodb": boto3.client("dynamodb"), "s3": boto3.client("s3")}
    clients |= {"sqs": boto3.client("sqs"), "events": boto3.client("events")}
    clients["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    clients["events"].create_event_bus(Name=bus)
    urls = {name: clients["sqs"].create_queue(QueueName=prefix + name)["QueueUrl"] for name in QUEUES}
    return FakeAws(clients, names, urls, bucket, bus)
