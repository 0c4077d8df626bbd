"""A fake DynamoDB for whole functions: the strict fake, with scans, page options and writes without a condition."""

# ruff: noqa: N803 - the arguments are named as boto3 names them.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

_ALWAYS = "attribute_exists(pk) OR attribute_not_exists(pk)"


def _resolve_names(expression: str, names: Mapping[str, str] | None) -> str:
    """Replace placeholders by their names, the longest first, as one may be the beginning of another."""
    for placeholder in sorted(names or {}, key=len, reverse=True):
        expression = expression.replace(placeholder, (names or {})[placeholder])
    return expression


class FakeDynamoDB(StrictFakeDynamoDB):
    """DynamoDB in memory, for every call of the product."""

    def put_item(
        self,
        *,
        ConditionExpression: str = _ALWAYS,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        **call: Any,
    ) -> dict[str, Any]:
        return super().put_item(
            ConditionExpression=_resolve_names(ConditionExpression, ExpressionAttributeNames), **call
        )

    def query(
        self, *, ScanIndexForward: bool = True, Limit: int | None = None, ConsistentRead: bool = False, **call: Any
    ) -> dict[str, Any]:
        found = super().query(**call)["Items"]
        return {"Items": (found if ScanIndexForward else found[::-1])[:Limit]}

    def scan(
        self,
        *,
        TableName: str,
        FilterExpression: str = _ALWAYS,
        ExpressionAttributeValues: Mapping[str, Any] | None = None,
        ExpressionAttributeNames: Mapping[str, str] | None = None,
        ProjectionExpression: str | None = None,
        Select: str = "ALL_ATTRIBUTES",
        ConsistentRead: bool = False,
        ExclusiveStartKey: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        found = super().query(
            TableName=TableName,
            KeyConditionExpression=_resolve_names(FilterExpression, ExpressionAttributeNames),
            ExpressionAttributeValues=ExpressionAttributeValues or {},
        )
        if ExclusiveStartKey is not None:
            start = _key_texts(ExclusiveStartKey)
            found = {"Items": [item for item in found["Items"] if _key_texts(item) > start]}
        if ProjectionExpression is None:
            return found
        shown = set(_resolve_names(ProjectionExpression, ExpressionAttributeNames).split(", "))
        return {"Items": [{name: item[name] for name in shown & item.keys()} for item in found["Items"]]}


def _key_texts(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(item[name]["S"] for name in ("pk", "sk") if name in item)
