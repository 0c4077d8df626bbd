"""Buckets and live summaries in DynamoDB. No other file of the room calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.aws import (
    batch_get,
    existing_item,
    from_item,
    is_condition_failure,
    to_item,
    try_conditional_write,
    try_transaction,
)
from chalicelib.errors import InvariantBroken, Unavailable
from chalicelib.stock.bucket import Bucket
from chalicelib.stock.expressions import AVAILABLE, HOLDS, KEY, SIZE, Write, bucket_from_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_WRITES_PER_TRANSACTION = 100
_TRIES = 5
"""Calls of one write that meets a transaction on its bucket: units that move block it for some milliseconds."""

_NOT_EXISTS = "attribute_not_exists(pk)"
_SEGMENT = "LIVE#"
_IN_USE = "Bucket {} of {} is in use. Retry later."


class StockStore:
    """The stock table, and the live summaries in the commerce table."""

    def __init__(self, dynamodb: DynamoDBClient, stock_table: str, commerce_table: str) -> None:
        self._dynamodb = dynamodb
        self._stock_table = stock_table
        self._commerce_table = commerce_table

    # Buckets.

    def read_bucket(self, pool_id: str, number: int, *, strong: bool) -> Bucket:
        """Read one bucket: 1 RCU strong, else 0.5.

        Raises: ``InvariantBroken`` when a strong read finds no such bucket: buckets exist before anybody knows the
        pool. ``Unavailable`` when another read finds none: it may be older than the bucket.
        """
        answer = self._dynamodb.get_item(TableName=self._stock_table, Key=_key(pool_id, number), ConsistentRead=strong)
        if "Item" not in answer:
            raise _bucket_missing(pool_id, number) if strong else Unavailable(_IN_USE.format(number, pool_id))
        return bucket_from_record(from_item(answer["Item"]))

    def read_buckets(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Bucket]:
        """Read many buckets strongly, 100 a call: 1 RCU each. Leave out those that do not exist."""
        found: dict[tuple[str, int], Bucket] = {}
        keys = [_key(pool_id, number) for pool_id, number in dict.fromkeys(places)]
        for item in batch_get(self._dynamodb, self._stock_table, keys, strong=True):
            bucket = bucket_from_record(from_item(item))
            found[item[KEY]["S"].rpartition("#")[0], bucket.number] = bucket
        return found

    def put_buckets(self, pool_id: str, sizes: Mapping[int, int]) -> bool:
        """Put new buckets, all their units available: 1 WCU for one bucket, 2 each for more, up to 100 a call.

        False when one of them exists: it is unchanged, and the others may or may not have been put.
        """
        items = [{KEY: f"{pool_id}#{number}", AVAILABLE: size, SIZE: size, HOLDS: {}} for number, size in sizes.items()]
        if len(items) == 1:
            return self._put(self._stock_table, items[0], _NOT_EXISTS)
        for start in range(0, len(items), _WRITES_PER_TRANSACTION):
            puts = [
                {"Put": {"TableName": self._stock_table, "Item": to_item(item), "ConditionExpression": _NOT_EXISTS}}
                for item in items[start : start + _WRITES_PER_TRANSACTION]
            ]
            if not try_transaction(self._dynamodb, puts):
                return False
        return True

    def write(self, pool_id: str, number: int, write: Write) -> Bucket | None:
        """Do a conditional write. None when done; else the existing bucket that refused it, which costs no read.

        Raises: ``InvariantBroken`` when there is no such bucket; ``Unavailable`` when transactions block it five times.
        """
        call = self._update(pool_id, number, write)
        for _ in range(_TRIES):
            try:
                self._dynamodb.update_item(**call, ReturnValuesOnConditionCheckFailure="ALL_OLD")
            except ClientError as error:
                if error.response["Error"]["Code"] == "TransactionConflictException":
                    continue  # refused before it changed anything
                if not is_condition_failure(error):
                    raise
                existing = existing_item(error)
                if existing is None:
                    raise _bucket_missing(pool_id, number) from error
                return bucket_from_record(from_item(existing))
            return None
        raise Unavailable(_IN_USE.format(number, pool_id))

    def write_together(self, pool_id: str, writes: Mapping[int, Write]) -> bool:
        """Do all of these writes, on different buckets, or none (then False). 2 WCU each, also when refused."""
        updates = [{"Update": self._update(pool_id, number, write)} for number, write in writes.items()]
        return try_transaction(self._dynamodb, updates)

    def _update(self, pool_id: str, number: int, write: Write) -> Any:
        call: dict[str, Any] = {
            "TableName": self._stock_table,
            "Key": _key(pool_id, number),
            "UpdateExpression": write.update,
            "ConditionExpression": write.condition,
            "ExpressionAttributeValues": to_item(write.values),
        }
        if write.names:
            call["ExpressionAttributeNames"] = write.names
        return call

    # Live summaries.

    def summary_record(self, pool_id: str, *, strong: bool, segment: int | None = None) -> dict[str, Any] | None:
        """Read the live summary, or one segment of it, as a record; None when there is none. 1 RCU strong, else 0.5."""
        key = to_item(_live_key(pool_id, segment))
        answer = self._dynamodb.get_item(TableName=self._commerce_table, Key=key, ConsistentRead=strong)
        return from_item(answer["Item"]) if "Item" in answer else None

    def summary_records(self, pool_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Read the live summaries of many pools strongly, 100 a call (1 RCU each). Leave out pools without one."""
        keys = [to_item(_live_key(pool_id)) for pool_id in dict.fromkeys(pool_ids)]
        items = batch_get(self._dynamodb, self._commerce_table, keys, strong=True)
        return {item["pk"]["S"].removeprefix("DROP#"): from_item(item) for item in items}

    def segment_records(self, pool_id: str, segments: int) -> dict[int, dict[str, Any]]:
        """Read the segments of a summary strongly, 100 a call (1 RCU each). Leave out those not written yet."""
        keys = [to_item(_live_key(pool_id, segment)) for segment in range(segments)]
        items = batch_get(self._dynamodb, self._commerce_table, keys, strong=True)
        return {int(item["sk"]["S"].removeprefix(_SEGMENT)): from_item(item) for item in items}

    def put_summary(
        self, pool_id: str, record: Mapping[str, Any], *, seen_as_of: int | None, segment: int | None = None
    ) -> bool:
        """Put a summary over the one of instant ``seen_as_of`` (None: none). False when another was put since. 1 WCU.

        The caller read the buckets after it read that summary.
        """
        item = {**_live_key(pool_id, segment), **record}
        if seen_as_of is None:
            return self._put(self._commerce_table, item, _NOT_EXISTS)
        return self._put(self._commerce_table, item, "as_of = :seen", {":seen": seen_as_of})

    def _put(
        self, table: str, item: Mapping[str, Any], condition: str, values: Mapping[str, Any] | None = None
    ) -> bool:
        call: dict[str, Any] = {"TableName": table, "Item": to_item(item), "ConditionExpression": condition}
        if values is not None:
            call["ExpressionAttributeValues"] = to_item(values)
        return try_conditional_write(self._dynamodb.put_item, **call)


def _key(pool_id: str, number: int) -> dict[str, Any]:
    return {KEY: {"S": f"{pool_id}#{number}"}}


def _live_key(pool_id: str, segment: int | None = None) -> dict[str, str]:
    return {"pk": f"DROP#{pool_id}", "sk": "LIVE" if segment is None else f"{_SEGMENT}{segment:04d}"}


def _bucket_missing(pool_id: str, number: int) -> InvariantBroken:
    return InvariantBroken(f"Bucket {number} of {pool_id} does not exist.")
