"""Batch reads: a hundred keys a call, until DynamoDB has processed every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from chalicelib.aws import batch_get
from chalicelib.errors import Unavailable
from tests.conftest import Tables


class BusyClient:
    """A client of which each call processes ``limit`` keys at most, as a throttled table does."""

    def __init__(self, client: Any, limit: int) -> None:
        self._client, self._limit = client, limit
        self.calls: list[int] = []

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Any:  # noqa: N803 - as boto3 names it
        ((table, request),) = RequestItems.items()
        self.calls.append(len(request["Keys"]))
        done, left = request["Keys"][: self._limit], request["Keys"][self._limit :]
        answer: dict[str, Any] = {"Responses": {table: []}}
        if done:
            answer = self._client.batch_get_item(RequestItems={table: request | {"Keys": done}})
        return answer | {"UnprocessedKeys": {table: request | {"Keys": left}} if left else {}}


def keys_of(count: int) -> list[dict[str, Any]]:
    return [{"pk": {"S": f"d#{number}"}} for number in range(count)]


def read(client: Any, tables: Tables, count: int) -> list[str]:
    found = batch_get(client, tables.stock, keys_of(count), strong=True)
    return sorted(item["pk"]["S"] for item in found)


def put(tables: Tables, count: int) -> None:
    for key in keys_of(count):
        tables.dynamodb.put_item(TableName=tables.stock, Item=key)


def test_batch_get_reads_a_hundred_keys_a_call_and_leaves_out_what_is_not_there(tables: Tables) -> None:
    put(tables, 3)
    client = BusyClient(tables.dynamodb, 100)
    assert read(client, tables, 250) == ["d#0", "d#1", "d#2"]
    assert client.calls == [100, 100, 50]


def test_batch_get_reads_unprocessed_keys_again(tables: Tables) -> None:
    put(tables, 5)
    client = BusyClient(tables.dynamodb, 2)
    assert read(client, tables, 5) == [f"d#{number}" for number in range(5)]
    assert client.calls == [5, 3, 1]


def test_batch_get_of_no_keys_makes_no_call(tables: Tables) -> None:
    client = BusyClient(tables.dynamodb, 2)
    assert (read(client, tables, 0), client.calls) == ([], [])


def test_batch_get_gives_up_after_ten_calls(tables: Tables) -> None:
    client = BusyClient(tables.dynamodb, 0)
    with pytest.raises(Unavailable):
        read(client, tables, 1)
    assert client.calls == [1] * 10
