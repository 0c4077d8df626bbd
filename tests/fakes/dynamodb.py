"""The schedule search's table with what whole functions ask of DynamoDB besides: transactions, scans, pages."""

# ruff: noqa: N803 - the arguments are named as boto3 names them.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from tests.fakes.dynamodb_expressions import InvalidDynamoDBRequest
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

_ALWAYS = "attribute_exists(pk) OR attribute_not_exists(pk)"


def _resolve_names(expression: str, names: Mapping[str, str] | None) -> str:
    """The expression with its placeholders' names, the longest first: one may begin another."""
    for placeholder in sorted(names or {}, key=len, reverse=True):
        expression = expression.replace(placeholder, (names or {})[placeholder])
    return expression


class FakeDynamoDB(StrictFakeDynamoDB):
    """DynamoDB in memory."""

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
    ) -> dict[str, Any]:
        found = super().query(
            TableName=TableName,
            KeyConditionExpression=_resolve_names(FilterExpression, ExpressionAttributeNames),
            ExpressionAttributeValues=ExpressionAttributeValues or {},
        )
        if ProjectionExpression is None:
            return found
        shown = set(_resolve_names(ProjectionExpression, ExpressionAttributeNames).split(", "))
        return {"Items": [{name: item[name] for name in shown & item.keys()} for item in found["Items"]]}

    def transact_write_items(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """All or nothing. Who is refused is told why, item by item."""
        before = dict(self.items)
        reasons = [self._apply(item) for item in TransactItems]
        changed = [place for place in self.items if self.items[place] is not before.get(place)]
        if any(reason["Code"] != "None" for reason in reasons):
            self.items = before
            response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise ClientError(response, "TransactWriteItems")
        if len(changed) < len(TransactItems):
            raise InvalidDynamoDBRequest("a transaction names an item twice")
        return {}

    def _apply(self, item: Mapping[str, Any]) -> dict[str, Any]:
        ((verb, call),) = item.items()
        try:
            if verb == "Put":
                self.put_item(**call)
            else:
                self.update_item(**{"ReturnValuesOnConditionCheckFailure": "NONE", **call})
        except ClientError as error:
            failure: Any = error.response
            return {"Code": "ConditionalCheckFailed", **({"Item": failure["Item"]} if "Item" in failure else {})}
        return {"Code": "None"}
