"""The benchmark's meter bills items and calls by DynamoDB's rules."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import to_item
from infra.bench.environment import COMMERCE, STOCK
from infra.bench.meter import cost, size_of

FULL_BUCKET = to_item(
    {"pk": "x" * 13, "a": 0, "s": 24, "h": {f"{n:011d}": {"q": 1, "u": 1_795_424_400} for n in range(24)}}
)


def test_size_of_an_item_is_that_of_its_names_and_values() -> None:
    assert size_of(to_item({"pk": "ab", "a": 7})) == 2 + 2 + 1 + 2
    assert size_of(to_item({"h": {"k": {"q": 12, "u": -345}}})) == 1 + 3 + (1 + 1 + 3) + (1 + 1 + 2) + (1 + 1 + 4)
    assert size_of(to_item({"b": b"1234", "l": [True]})) == 5 + 1 + 3 + 2
    assert size_of(FULL_BUCKET) < 1_024


@pytest.mark.parametrize(
    ("operation", "asked", "answer", "billed"),
    [
        (
            "UpdateItem",
            {"TableName": STOCK},
            {"ConsumedCapacity": {"CapacityUnits": 2.0}},
            ("bucket write", 2.0),
        ),
        ("UpdateItem", {"TableName": STOCK}, {"Error": {}}, ("bucket write, refused", 1)),
        ("UpdateItem", {"TableName": STOCK}, {"Error": {}, "Item": FULL_BUCKET}, ("bucket write, refused", 1)),
        (
            "UpdateItem",
            {"TableName": STOCK},
            {"Error": {}, "Item": FULL_BUCKET | to_item({"z": "z" * 1_024})},
            ("bucket write, refused", 2),
        ),
        ("GetItem", {"TableName": COMMERCE}, {}, ("summary read", 0.5)),
        ("GetItem", {"TableName": STOCK, "ConsistentRead": True}, {"Item": FULL_BUCKET}, ("bucket read", 1)),
        (
            "BatchGetItem",
            {"RequestItems": {STOCK: {"Keys": [1, 2, 3], "ConsistentRead": True}}},
            {"Responses": {STOCK: [FULL_BUCKET, FULL_BUCKET]}},
            ("bucket read", 3),
        ),
        (
            "TransactWriteItems",
            {"TransactItems": [1, 2]},
            {"ConsumedCapacity": [{"CapacityUnits": 2.0}, {"CapacityUnits": 2.0}]},
            ("transaction write", 4.0),
        ),
        ("TransactWriteItems", {"TransactItems": [1, 2]}, {"Error": {}}, ("transaction write, refused", 4.0)),
    ],
)
def test_call_is_billed_by_the_rule_of_its_operation(
    operation: str, asked: dict[str, Any], answer: dict[str, Any], billed: tuple[str, float]
) -> None:
    assert cost(operation, asked, answer) == billed


def test_operation_without_a_rule_raises_an_error() -> None:
    with pytest.raises(ValueError, match="DeleteItem"):
        cost("DeleteItem", {"TableName": STOCK}, {})
