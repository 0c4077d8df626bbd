"""The stores of finance: objects in S3, export runs in the commerce table, and the exports queue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_NOT_FOUND_CODES = {"NoSuchKey", "404"}
_CONFLICT_CODES = {"PreconditionFailed", "ConditionalRequestConflict"}
_MAX_READERS = 8
_CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json", "ndjson": "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """Objects of finance's bucket. To see that an object is missing, a role needs the permission to list the bucket."""

    s3: S3Client
    bucket: str

    def put(self, key: str, body: bytes) -> None:
        """Write an object, also over an existing one. One PUT."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=_content_type(key))

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Write an object unless it exists, and return whether this call wrote it. One conditional PUT."""
        try:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=_content_type(key), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONFLICT_CODES:
                return False
            raise
        return True

    def read(self, key: str) -> bytes | None:
        """Read an object's content; None when there is no object. One GET."""
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_FOUND_CODES:
                return None
            raise

    def read_all(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read the contents of objects in the order of their keys. One GET each, eight at a time."""
        key_list = list(keys)
        with ThreadPoolExecutor(_MAX_READERS) as readers:
            for key, body in zip(key_list, readers.map(self.read, key_list), strict=True):
                if body is not None:
                    yield key, body

    def list_keys(self, prefix: str) -> list[str]:
        """Return every key under a prefix, sorted. One LIST for each 1,000."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]


def _content_type(key: str) -> str:
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True)
class ExportRunStore:
    """Export runs by day (``EXPORT#{date} / RUN#{id}``), and the idempotency keys of their requests."""

    dynamodb: DynamoDBClient
    commerce_table: str

    def claim_idempotency_key(self, key: str, run: dict[str, Any]) -> dict[str, Any] | None:
        """Store the request of an idempotency key. Return None, or the request that the key already has. One write."""
        return self._put({"pk": f"EXPORT#KEY#{key}", "sk": "KEY", **run})

    def create(self, run: dict[str, Any]) -> dict[str, Any] | None:
        """Store a run. Return None, or the run that exists already. One write."""
        return self._put({**_run_key(run), **run})

    def update(self, run: dict[str, Any], expected_state: str) -> bool:
        """Replace a run if it still is in the expected state, and return whether it was. One write."""
        try:
            self.dynamodb.put_item(
                TableName=self.commerce_table,
                Item=aws.to_item({**_run_key(run), **run}),
                ConditionExpression="#state = :expected",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":expected": {"S": expected_state}},
            )
        except ClientError as error:
            if aws.is_condition_failure(error):
                return False
            raise
        return True

    def read(self, date: str, run_id: str) -> dict[str, Any] | None:
        """Read a run. One consistent read."""
        answer = self.dynamodb.get_item(
            TableName=self.commerce_table,
            Key=aws.to_item(_run_key({"date": date, "id": run_id})),
            ConsistentRead=True,
        )
        return _from_item(answer["Item"]) if "Item" in answer else None

    def list_of_day(self, date: str) -> list[dict[str, Any]]:
        """Read every run of a day. One consistent query for each MB."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.commerce_table,
            KeyConditionExpression="pk = :day AND begins_with(sk, :run)",
            ExpressionAttributeValues={":day": {"S": f"EXPORT#{date}"}, ":run": {"S": "RUN#"}},
            ConsistentRead=True,
        )
        return [_from_item(item) for page in pages for item in page["Items"]]

    def _put(self, record: dict[str, Any]) -> dict[str, Any] | None:
        try:
            self.dynamodb.put_item(
                TableName=self.commerce_table,
                Item=aws.to_item(record),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            existing = aws.existing_item(error)
            if not aws.is_condition_failure(error) or existing is None:
                raise
            return _from_item(existing)
        return None


def _run_key(run: dict[str, Any]) -> dict[str, str]:
    return {"pk": f"EXPORT#{run['date']}", "sk": f"RUN#{run['id']}"}


def _from_item(item: aws.Item) -> dict[str, Any]:
    return {name: value for name, value in aws.from_item(item).items() if name not in {"pk", "sk"}}


@dataclass(frozen=True, slots=True)
class ExportQueue:
    """The queue of the export worker."""

    sqs: SQSClient
    url: str

    def send(self, date: str, run_id: str) -> None:
        """Enqueue a run for the worker."""
        self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps({"date": date, "run_id": run_id}))
