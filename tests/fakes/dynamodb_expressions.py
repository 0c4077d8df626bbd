"""DynamoDB's update and condition expressions, as far as the product sends them, parsed into cached functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_TOKEN = re.compile(r"\s*(>=|<=|<>|[=<>(),+-]|[A-Za-z0-9_:#.]+)")
ABSENT = object()


class InvalidDynamoDBRequest(AssertionError):
    """A request that DynamoDB would refuse as invalid."""


class EvaluationScope:
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
                return ABSENT
            found = found[part]
        return found


_Term = Callable[[EvaluationScope], Any]


class _Parser:
    """A recursive descent parser for the part of the grammar that the product uses."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise InvalidDynamoDBRequest(f"expected {expected or 'more'}, found {token!r}")
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
            return lambda scope: (scope.get(path) is not ABSENT) == wanted
        if self.peek() == "begins_with":
            return self._beginning()
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

    def _beginning(self) -> _Term:
        self.next("begins_with")
        self.next("(")
        text = self.operand()
        self.next(",")
        beginning = self.operand()
        self.next(")")
        return lambda scope: text(scope) is not ABSENT and str(text(scope)).startswith(beginning(scope))

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
            return lambda scope: other(scope) if scope.get(path) is ABSENT else scope.get(path)
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
                raise InvalidDynamoDBRequest(f"found {clause!r}")
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
    if left is ABSENT or right is ABSENT:
        raise InvalidDynamoDBRequest("an operand does not exist")
    return left + sign * right


def _compare(sign: str, left: Any, right: Any) -> bool:
    if left is ABSENT or right is ABSENT:
        return sign == "<>"
    if sign in {"=", "<>"}:
        return bool(left == right) == (sign == "=")
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])


@cache
def parse_condition(text: str) -> _Term:
    parser = _Parser(text)
    term = parser.condition()
    if parser.peek():
        raise InvalidDynamoDBRequest(f"left over: {parser.peek()!r}")
    return term


@cache
def parse_update(text: str) -> tuple[list[tuple[str, _Term]], list[str]]:
    return _Parser(text).update()
