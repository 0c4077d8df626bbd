"""DynamoDB in memory, exact and atomic, for the expressions of the product. It is stricter than moto or an emulator.

Real DynamoDB refuses a third operand, overlapping paths, and a parent that does not exist. An emulator may accept
them. Here they raise ``InvalidDynamoDBRequest``.
"""

# ruff: noqa: N803 - the arguments are named as boto3 names them.
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws import from_item, to_item
from tests.fakes.dynamodb_expressions import (
    ABSENT,
    EvaluationScope,
    InvalidDynamoDBRequest,
    parse_condition,
    parse_update,
)


class SinglePagePaginator:
    """A paginator with one page."""

    def __init__(self, operation: Callable[..., dict[str, Any]]) -> None:
        self._operation = operation

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        yield self._operation(**arguments)


class StrictFakeDynamoDB:
    """The calls of the product's stores, on items by table and key. A write replaces an item and never changes it."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, ...], dict[str, Any]] = {}
        self._wire_items: dict[tuple[str, ...], tuple[dict[str, Any], dict[str, Any]]] = {}

    def get_item(self, *, TableName: str, Key: Mapping[str, Any], ConsistentRead: bool = False) -> dict[str, Any]:
        item = self._to_wire(_item_key(TableName, from_item(Key)))
        return {} if item is None else {"Item": item}

    def batch_get_item(self, *, RequestItems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        responses = {}
        for table, request in RequestItems.items():
            found = [self._to_wire(_item_key(table, from_item(key))) for key in request["Keys"]]
            responses[table] = [item for item in found if item is not None]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Any],
        ConsistentRead: bool = False,
    ) -> dict[str, Any]:
        values = from_item(ExpressionAttributeValues)
        wanted = parse_condition(KeyConditionExpression)
        found = [
            self._to_wire(place)
            for place, item in sorted(self.items.items())
            if place[0] == TableName and wanted(EvaluationScope(item, {}, values))
        ]
        return {"Items": found}

    def scan(
        self,
        *,
        TableName: str,
        ConsistentRead: bool = False,
        FilterExpression: str = "attribute_not_exists(no)",
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return all items of a table that match a filter, in one page."""
        wanted, values = parse_condition(FilterExpression), from_item(ExpressionAttributeValues or {})
        item_keys = [place for place in sorted(self.items) if place[0] == TableName]
        return {
            "Items": [self._to_wire(one) for one in item_keys if wanted(EvaluationScope(self.items[one], {}, values))]
        }

    def get_paginator(self, operation: str) -> SinglePagePaginator:
        return SinglePagePaginator(getattr(self, operation))

    def put_item(
        self,
        *,
        TableName: str,
        Item: Mapping[str, Any],
        ConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> dict[str, Any]:
        call = {"TableName": TableName, "Item": Item, "ConditionExpression": ConditionExpression}
        item_key, record = self._evaluate_put(call | {"ExpressionAttributeValues": ExpressionAttributeValues or {}})
        if record is None:
            all_old = ReturnValuesOnConditionCheckFailure == "ALL_OLD"
            raise _condition_failed("PutItem", self._to_wire(item_key) if all_old else None)
        self.items[item_key] = record
        return {}

    def update_item(
        self,
        *,
        TableName: str,
        Key: Mapping[str, Any],
        UpdateExpression: str,
        ConditionExpression: str,
        ExpressionAttributeValues: Mapping[str, Any],
        ReturnValuesOnConditionCheckFailure: str,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ReturnValues: str = "NONE",
    ) -> dict[str, Any]:
        call = {
            "TableName": TableName,
            "Key": Key,
            "UpdateExpression": UpdateExpression,
            "ConditionExpression": ConditionExpression,
            "ExpressionAttributeValues": ExpressionAttributeValues,
            "ExpressionAttributeNames": ExpressionAttributeNames or {},
        }
        item_key, after = self._evaluate_update(call)
        if after is None:
            raise _condition_failed("UpdateItem", self._to_wire(item_key))
        self.items[item_key] = after
        return {"Attributes": self._to_wire(item_key)} if ReturnValues == "ALL_NEW" else {}

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:
        results = [
            self._evaluate_update(write["Update"]) if "Update" in write else self._evaluate_put(write["Put"])
            for write in TransactItems
        ]
        item_keys = [place for place, _ in results]
        if len(set(item_keys)) < len(item_keys):
            raise InvalidDynamoDBRequest("a transaction cannot have several operations on one item")
        if any(after is None for _, after in results):
            raise _transaction_cancelled([after is None for _, after in results])
        self.items |= {place: after for place, after in results if after is not None}
        return {}

    def _to_wire(self, item_key: tuple[str, ...]) -> dict[str, Any] | None:
        """Return an item in the wire format, from a cache, as items are read more often than written."""
        item = self.items.get(item_key)
        if item is None:
            return None
        made_of, wired = self._wire_items.get(item_key, (None, {}))
        if made_of is not item:
            wired = to_item(item)
            self._wire_items[item_key] = (item, wired)
        return wired

    def _evaluate_put(self, call: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any] | None]:
        """Return the key and the item of a put. The item is None where the condition refuses it."""
        record = from_item(call["Item"])
        item_key = _item_key(call["TableName"], record)
        if "ConditionExpression" not in call:
            return item_key, record
        names = call.get("ExpressionAttributeNames", {})
        values = from_item(call.get("ExpressionAttributeValues", {}))
        fits = parse_condition(call["ConditionExpression"])(
            EvaluationScope(self.items.get(item_key) or {}, names, values)
        )
        return item_key, record if fits else None

    def _evaluate_update(self, call: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any] | None]:
        """Return the key and the new item of an update. The item is None where the condition refuses it."""
        key, names = from_item(call["Key"]), call.get("ExpressionAttributeNames", {})
        item_key = _item_key(call["TableName"], key)
        before = self.items.get(item_key)
        scope = EvaluationScope(before or {}, names, from_item(call["ExpressionAttributeValues"]))
        if not parse_condition(call["ConditionExpression"])(scope):
            return item_key, None
        used = _placeholders(call["UpdateExpression"], call["ConditionExpression"])
        for placeholder in [*call["ExpressionAttributeValues"], *names]:
            if placeholder not in used:
                raise InvalidDynamoDBRequest(f"{placeholder} is not used")
        sets, removes = parse_update(call["UpdateExpression"])
        _reject_overlapping_paths([scope.parts(path) for path in [*(path for path, _ in sets), *removes]])
        after = dict(key if before is None else before)
        for path, value in [(scope.parts(path), term(scope)) for path, term in sets]:
            if value is ABSENT:
                raise InvalidDynamoDBRequest(f"{path} is set from an attribute that does not exist")
            _parent_map(after, path)[path[-1]] = value
        for name in removes:
            path = scope.parts(name)
            _parent_map(after, path).pop(path[-1], None)
        return item_key, after


@cache
def _placeholders(*expressions: str) -> frozenset[str]:
    return frozenset(re.findall(r"[:#]\w+", " ".join(expressions)))


def _reject_overlapping_paths(paths: list[tuple[str, ...]]) -> None:
    for i, one in enumerate(paths):
        for other in paths[i + 1 :]:
            shorter = min(len(one), len(other))
            if one[:shorter] == other[:shorter]:
                raise InvalidDynamoDBRequest(f"paths overlap: {one}, {other}")


def _parent_map(item: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the map that a path ends in. Maps on the way are copied, so that the old item stays unchanged."""
    for part in path[:-1]:
        if not isinstance(item.get(part), dict):
            raise InvalidDynamoDBRequest(f"no map to put {path} into")
        item[part] = dict(item[part])
        item = item[part]
    return item


def _item_key(table: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    return (table, record["pk"], record["sk"]) if "sk" in record else (table, record["pk"])


def _condition_failed(operation: str, item: Mapping[str, Any] | None) -> ClientError:
    response: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}}
    if item is not None:
        response["Item"] = item
    return ClientError(response, operation)


def _transaction_cancelled(refused: list[bool]) -> ClientError:
    reasons = [{"Code": "ConditionalCheckFailed" if one else "None"} for one in refused]
    error = {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"}
    response: Any = {"Error": error, "CancellationReasons": reasons}
    return ClientError(response, "TransactWriteItems")
