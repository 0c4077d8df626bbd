"""DynamoDB in memory, exact and atomic, for the expressions that we send; stricter than the emulators.

Update and condition expressions are parsed once and kept as functions. What real DynamoDB refuses and an emulator may
accept (a third operand, overlapping paths, a parent that does not exist) fails here with :class:`NotDynamoDB`.
"""

# ruff: noqa: N803 - the arguments are named as boto3 names them.
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws import from_item, to_item

_TOKEN = re.compile(r"\s*(>=|<=|<>|[=<>(),+-]|[A-Za-z0-9_:#.]+)")
_ABSENT = object()


class NotDynamoDB(AssertionError):
    """An expression that DynamoDB would refuse as invalid."""


class _Scope:
    """An item before the write, with the placeholders of one call."""

    def __init__(self, item: Mapping[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> None:
        self.item, self.names, self.values = item, names, values

    def parts(self, path: str) -> tuple[str, ...]:
        return tuple(self.names[part] if part.startswith("#") else part for part in path.split("."))

    def get(self, operand: str) -> Any:
        if operand.startswith(":"):
            return self.values[operand]
        found: Any = self.item
        for part in self.parts(operand):
            if not isinstance(found, dict) or part not in found:
                return _ABSENT
            found = found[part]
        return found


_Term = Callable[[_Scope], Any]


class _Parser:
    """Recursive descent over the part of the grammar that we use."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise NotDynamoDB(f"expected {expected or 'more'}, found {token!r}")
        self._at += 1
        return token

    def condition(self) -> _Term:
        terms = [self._conjunction()]
        while self.peek() == "OR":
            self.next()
            terms.append(self._conjunction())
        return lambda scope: any(term(scope) for term in terms)

    def _conjunction(self) -> _Term:
        terms = [self._comparison()]
        while self.peek() == "AND":
            self.next()
            terms.append(self._comparison())
        return lambda scope: all(term(scope) for term in terms)

    def _comparison(self) -> _Term:
        if self.peek() == "(":
            self.next()
            inner = self.condition()
            self.next(")")
            return inner
        if self.peek() in {"attribute_exists", "attribute_not_exists"}:
            wanted = self.next() == "attribute_exists"
            self.next("(")
            path = self.next()
            self.next(")")
            return lambda scope: (scope.get(path) is not _ABSENT) == wanted
        left = self.operand()
        if self.peek() == "BETWEEN":
            self.next()
            low = self.operand()
            self.next("AND")
            high = self.operand()
            return lambda scope: _compare(">=", left(scope), low(scope)) and _compare("<=", left(scope), high(scope))
        if self.peek() == "IN":
            return self._membership(left)
        sign = self.next()
        right = self.operand()
        return lambda scope: _compare(sign, left(scope), right(scope))

    def _membership(self, left: _Term) -> _Term:
        self.next("IN")
        self.next("(")
        among = [self.operand()]
        while self.peek() == ",":
            self.next()
            among.append(self.operand())
        self.next(")")
        return lambda scope: any(_compare("=", left(scope), one(scope)) for one in among)

    def operand(self) -> _Term:
        token = self.next()
        if token == "size":
            self.next("(")
            path = self.next()
            self.next(")")
            return lambda scope: len(scope.get(path))
        if token == "if_not_exists":
            self.next("(")
            path = self.next()
            self.next(",")
            other = self.operand()
            self.next(")")
            return lambda scope: other(scope) if scope.get(path) is _ABSENT else scope.get(path)
        return lambda scope: scope.get(token)

    def value(self) -> _Term:
        left = self.operand()
        if self.peek() not in {"+", "-"}:
            return left
        sign = 1 if self.next() == "+" else -1
        right = self.operand()
        return lambda scope: _sum(left(scope), sign, right(scope))

    def update(self) -> tuple[list[tuple[str, _Term]], list[str]]:
        sets: list[tuple[str, _Term]] = []
        removes: list[str] = []
        while self.peek():
            clause = self.next()
            if clause not in {"SET", "REMOVE"}:
                raise NotDynamoDB(f"found {clause!r}")
            while True:
                path = self.next()
                if clause == "SET":
                    self.next("=")
                    sets.append((path, self.value()))
                else:
                    removes.append(path)
                if self.peek() != ",":
                    break
                self.next()
        return sets, removes


def _sum(left: Any, sign: int, right: Any) -> Any:
    if left is _ABSENT or right is _ABSENT:
        raise NotDynamoDB("an operand does not exist")
    return left + sign * right


def _compare(sign: str, left: Any, right: Any) -> bool:
    if left is _ABSENT or right is _ABSENT:
        return sign == "<>"
    if sign in {"=", "<>"}:
        return bool(left == right) == (sign == "=")
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])


@cache
def _condition(text: str) -> _Term:
    parser = _Parser(text)
    term = parser.condition()
    if parser.peek():
        raise NotDynamoDB(f"left over: {parser.peek()!r}")
    return term


@cache
def _update(text: str) -> tuple[list[tuple[str, _Term]], list[str]]:
    return _Parser(text).update()


class Table:
    """The calls that our stores make, on items kept by table and key."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, ...], dict[str, Any]] = {}

    def get_item(self, *, TableName: str, Key: Mapping[str, Any], ConsistentRead: bool = False) -> dict[str, Any]:
        item = self.items.get(_place(TableName, from_item(Key)))
        return {} if item is None else {"Item": to_item(item)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        responses = {}
        for table, request in RequestItems.items():
            found = [self.items.get(_place(table, from_item(key))) for key in request["Keys"]]
            responses[table] = [to_item(item) for item in found if item is not None]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(
        self, *, TableName: str, KeyConditionExpression: str, ExpressionAttributeValues: Mapping[str, Any]
    ) -> dict[str, Any]:
        values = from_item(ExpressionAttributeValues)
        wanted = _condition(KeyConditionExpression)
        found = [
            item
            for place, item in sorted(self.items.items())
            if place[0] == TableName and wanted(_Scope(item, {}, values))
        ]
        return {"Items": [to_item(item) for item in found]}

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
        place, record = self._put(call | {"ExpressionAttributeValues": ExpressionAttributeValues or {}})
        if record is None:
            all_old = ReturnValuesOnConditionCheckFailure == "ALL_OLD"
            raise _refused("PutItem", self.items.get(place) if all_old else None)
        self.items[place] = record
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
    ) -> dict[str, Any]:
        call = {
            "TableName": TableName,
            "Key": Key,
            "UpdateExpression": UpdateExpression,
            "ConditionExpression": ConditionExpression,
            "ExpressionAttributeValues": ExpressionAttributeValues,
            "ExpressionAttributeNames": ExpressionAttributeNames or {},
        }
        place, after = self._updated(call)
        if after is None:
            raise _refused("UpdateItem", self.items.get(place))
        self.items[place] = after
        return {}

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:
        results = [
            self._updated(write["Update"]) if "Update" in write else self._put(write["Put"]) for write in TransactItems
        ]
        places = [place for place, _ in results]
        if len(set(places)) < len(places):
            raise NotDynamoDB("a transaction cannot have several operations on one item")
        if any(after is None for _, after in results):
            raise _cancelled([after is None for _, after in results])
        self.items |= {place: after for place, after in results if after is not None}
        return {}

    def _put(self, call: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any] | None]:
        record = from_item(call["Item"])
        place = _place(call["TableName"], record)
        values = from_item(call.get("ExpressionAttributeValues", {}))
        fits = _condition(call["ConditionExpression"])(_Scope(self.items.get(place) or {}, {}, values))
        return place, record if fits else None

    def _updated(self, call: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any] | None]:
        """Where an update writes, and the item that it leaves; None: its condition refuses it."""
        key, names = from_item(call["Key"]), call.get("ExpressionAttributeNames", {})
        place = _place(call["TableName"], key)
        before = self.items.get(place)
        scope = _Scope(before or {}, names, from_item(call["ExpressionAttributeValues"]))
        if not _condition(call["ConditionExpression"])(scope):
            return place, None
        for placeholder in [*call["ExpressionAttributeValues"], *names]:
            if not re.search(rf"{placeholder}\b", f"{call['UpdateExpression']} {call['ConditionExpression']}"):
                raise NotDynamoDB(f"{placeholder} is not used")
        sets, removes = _update(call["UpdateExpression"])
        _refuse_overlaps([scope.parts(path) for path in [*(path for path, _ in sets), *removes]])
        after = deepcopy(before) if before is not None else dict(key)
        for path, value in [(scope.parts(path), term(scope)) for path, term in sets]:
            if value is _ABSENT:
                raise NotDynamoDB(f"{path} is set from an attribute that does not exist")
            _parent(after, path)[path[-1]] = deepcopy(value)
        for name in removes:
            path = scope.parts(name)
            _parent(after, path).pop(path[-1], None)
        return place, after


def _refuse_overlaps(paths: list[tuple[str, ...]]) -> None:
    for i, one in enumerate(paths):
        for other in paths[i + 1 :]:
            shorter = min(len(one), len(other))
            if one[:shorter] == other[:shorter]:
                raise NotDynamoDB(f"paths overlap: {one}, {other}")


def _parent(item: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for part in path[:-1]:
        if not isinstance(item.get(part), dict):
            raise NotDynamoDB(f"no map to put {path} into")
        item = item[part]
    return item


def _place(table: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    return (table, record["pk"], record["sk"]) if "sk" in record else (table, record["pk"])


def _refused(operation: str, item: Mapping[str, Any] | None) -> ClientError:
    response: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}}
    if item is not None:
        response["Item"] = to_item(item)
    return ClientError(response, operation)


def _cancelled(refused: list[bool]) -> ClientError:
    reasons = [{"Code": "ConditionalCheckFailed" if one else "None"} for one in refused]
    error = {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"}
    response: Any = {"Error": error, "CancellationReasons": reasons}
    return ClientError(response, "TransactWriteItems")
