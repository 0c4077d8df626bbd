"""AWS clients, and the wire format of DynamoDB items. Only this module and ``store.py`` files use boto3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

Item = dict[str, Any]
"""A DynamoDB item in the wire format: ``{"version": {"N": "3"}}``."""

TRIES, CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3, 1, 4
"""Bounds of one call. With the pauses between tries it ends within 18 s, while its function (20 s) can still answer."""

_KEYS_PER_BATCH, _BATCH_TRIES = 100, 10

_building = Lock()
"""Held while a client is built: boto3's default session is not safe between threads. Its clients are."""

_CONFIG = Config(
    max_pool_connections=64,
    parameter_validation=False,  # saves 7 to 10 % of a call's CPU; our own types check the same
    user_agent="livedrop",  # else botocore describes system and features twice a call: 12 % of its CPU
    retries={"mode": "standard", "total_max_attempts": TRIES},
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    tcp_keepalive=True,
)


@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["s3"]) -> S3Client: ...
@overload
def client(service: Literal["sqs"]) -> SQSClient: ...
@overload
def client(service: Literal["events"]) -> EventBridgeClient: ...
@overload
def client(service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
@cache
def client(service: Any) -> Any:
    """Return the process's client of a service. Endpoint, region and keys come from the environment."""
    with _building:
        return boto3.client(service, config=_CONFIG)


def to_attribute(value: Any) -> dict[str, Any]:
    """Convert a value to the wire format: text, whole numbers, booleans, bytes, lists, sets of text and maps.

    Raises: ``TypeError`` for anything else, such as a float.
    """
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case list() | tuple():
            return {"L": [to_attribute(part) for part in value]}
        case Mapping():
            return {"M": {key: to_attribute(part) for key, part in value.items() if part is not None}}
        case bytes():
            return {"B": value}
        case set() | frozenset():
            return {"SS": sorted(value)}
    raise TypeError(f"DynamoDB items cannot store a {type(value).__name__}")


def from_attribute(value: Mapping[str, Any]) -> Any:
    """Convert a value from the wire format; numbers become ``int``."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content)
        case "L":
            return [from_attribute(part) for part in content]
        case "M":
            return {key: from_attribute(part) for key, part in content.items()}
        case "SS":
            return frozenset(content)
        case "NULL":
            return None
    return content


def to_item(record: Mapping[str, Any]) -> Item:
    """Convert a record to an item, without the attributes that are None."""
    return {name: to_attribute(value) for name, value in record.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an item to a record."""
    return {name: from_attribute(value) for name, value in item.items()}


def batch_get(dynamodb: DynamoDBClient, table: str, keys: Sequence[Item], *, strong: bool) -> list[Item]:
    """Read many items of one table, 100 a call, in any order; leave out those that do not exist.

    Costs what single reads cost: per item and started 4 KB, 1 RCU strong, else 0.5. Keys that DynamoDB leaves
    unprocessed are asked for again.

    Raises: ``Unavailable`` when keys are still unprocessed after ten calls.
    """
    found: list[Item] = []
    for start in range(0, len(keys), _KEYS_PER_BATCH):
        unread: Any = {table: {"Keys": keys[start : start + _KEYS_PER_BATCH], "ConsistentRead": strong}}
        for _ in range(_BATCH_TRIES):
            answer = dynamodb.batch_get_item(RequestItems=unread)
            found += answer["Responses"].get(table, [])
            unread = answer.get("UnprocessedKeys")
            if not unread:
                break
        else:
            raise Unavailable("The database is read faster than it allows. Retry later.")
    return found


def is_condition_failure(error: ClientError) -> bool:
    """Tell whether its condition refused a write. The write then changed nothing."""
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def try_conditional_write(write: Callable[..., object], **call: Any) -> bool:
    """Do a conditional write. False: its condition refused it, and it changed nothing."""
    try:
        write(**call)
    except ClientError as error:
        if not is_condition_failure(error):
            raise
        return False
    return True


def item_size(item: Item) -> int:
    """Return the bytes that DynamoDB counts for an item, by its rules for names and values.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return (len(content) + 1) // 2 + 1
        case "L":
            return 3 + sum(1 + _value_size(part) for part in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(part) for name, part in content.items())
        case "S":
            return len(content.encode())
    return 1


def is_item_too_large(error: ClientError) -> bool:
    """Tell whether DynamoDB refused a write because its item has more than 400 KB. The write then changed nothing."""
    failure = error.response["Error"]
    return failure["Code"] == "ValidationException" and "Item size has exceeded" in failure.get("Message", "")


def existing_item(error: ClientError) -> Item | None:
    """Return the item that refused a write (of a call with ``ALL_OLD``); None when there is no item."""
    return error.response.get("Item")  # type: ignore[return-value]


AWS_ERRORS = (BotoCoreError, ClientError)
"""Errors of AWS calls: no answer, or an answer that refuses the call.

After a timeout the outcome of a write is unknown. A refusal, such as a ``ValidationException``, changed nothing.
"""

_LOST_RACE_REASONS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


def try_transaction(dynamodb: DynamoDBClient, writes: Sequence[Any]) -> bool:
    """Do all writes of a transaction, or none.

    Returns False, with nothing written, when a condition or a rival's transaction refused one of them.
    """
    try:
        dynamodb.transact_write_items(TransactItems=writes)
    except ClientError as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if reasons & _LOST_RACE_REASONS:
            return False
        raise
    return True


def read_pages(read: Callable[..., Any], **request: Any) -> Iterator[Item]:
    """Yield all items of a query or a scan, page by page."""
    while True:
        page = read(**request)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


@contextmanager
def unavailable_on_failure(detail: str) -> Iterator[None]:
    """Raise ``Unavailable`` with this sentence when an AWS call fails."""
    try:
        yield
    except AWS_ERRORS as error:
        raise Unavailable(detail) from error
