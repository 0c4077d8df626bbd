"""The strict fake of DynamoDB does what moto does, write by write."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.stock import OrderRef, expressions
from chalicelib.stock.bucket import BucketEntry, HasRoom
from chalicelib.stock.expressions import Write
from chalicelib.stock.store import StockStore
from tests.conftest import Tables
from tests.fakes.dynamodb_expressions import InvalidDynamoDBRequest
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

NAMES = ("AAAAAAAAAAA", "-BBBBBBBBBB", "_CCCCCCCCCC")


def any_entry(random: Random) -> BucketEntry:
    return random.choice(
        [
            BucketEntry(1, 10),
            BucketEntry(2, 10),
            BucketEntry(2, 20, "order-abc001"),
            BucketEntry(1, order="order-abc001"),
            BucketEntry(0, 10),
            BucketEntry(0),
            BucketEntry(0, points_to=1, version=1),
        ]
    )


def any_write(random: Random) -> Write:
    name, other = random.sample(NAMES, 2)
    order = OrderRef("order-abc", random.choice([1, 2]))
    seen, entry = any_entry(random), any_entry(random)
    units = BucketEntry(random.choice([1, 2]), 10)
    return random.choice(
        [
            expressions.place_hold(name, units, HasRoom()),
            expressions.place_hold(name, units, HasRoom({other: any_entry(random)})),
            expressions.place_hold(name, units, HasRoom({other: BucketEntry(1, 10)}, replacing=seen)),
            expressions.compare_and_set(name, random.choice([None, seen]), entry),
            expressions.set_pointer(name, BucketEntry(0, points_to=1, version=1), random.choice([1, 60])),
            expressions.set_fence(name, 10),
            expressions.commit(name, seen, 1, order),
            expressions.revert_to_hold(name, order, 20),
            expressions.release(name, random.choice([None, order])),
            expressions.shrink(name, 2, 1, random.choice([None, 10])),
            expressions.restock(name, order, random.choice([1, 2]), random.choice([0, 1])),
            expressions.add_units(random.choice([1, 2]), 1),
            expressions.withdraw(random.choice([1, 2, 3]), 1, random.choice([{}, {other: BucketEntry(1, 10)}])),
            expressions.remove_entries(
                {name: random.choice([BucketEntry(0, 10), BucketEntry(0, points_to=1, version=1)])}
            ),
        ]
    )


def any_moves(random: Random) -> dict[int, Write]:
    units = random.choice([1, 2])
    reclaim = random.choice([{}, {}, {NAMES[0]: BucketEntry(1, 10)}])
    one, other = random.sample([0, 1, 2], 2)
    return {one: expressions.move_out(units, reclaim), other: expressions.move_in(units)}


def test_transaction_is_applied_whole_or_not_at_all_as_in_moto(tables: Tables) -> None:
    random = Random(7)
    fake = StockStore(StrictFakeDynamoDB(), "stock", "commerce")  # type: ignore[arg-type]
    moto = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    sizes = {0: 4, 1: 2, 2: 3}
    assert fake.put_buckets("d", sizes) is moto.put_buckets("d", sizes) is True
    assert fake.put_buckets("d", {3: 1, 1: 9}) is moto.put_buckets("d", {3: 1, 1: 9}) is False
    places = [("d", number) for number in range(4)]
    outcomes = []
    for _ in range(60):
        moves = any_moves(random)
        outcomes.append(fake.write_together("d", moves))
        assert moto.write_together("d", moves) is outcomes[-1]
        assert fake.read_buckets(places) == moto.read_buckets(places)
    buckets = fake.read_buckets(places).values()
    assert 10 < sum(outcomes) < 50
    assert (sum(bucket.size for bucket in buckets), sum(bucket.net_moved_in for bucket in buckets)) == (9, 0)


def write_and_read(store: StockStore, number: int, write: Write) -> Any:
    return store.write("d", number, write), store.read_bucket("d", number, strong=True)


def test_write_answers_and_changes_the_item_as_in_moto(tables: Tables) -> None:
    random = Random(7)
    fake = StockStore(StrictFakeDynamoDB(), "stock", "commerce")  # type: ignore[arg-type]
    moto = StockStore(tables.dynamodb, tables.stock, tables.commerce)
    applied = 0
    for number in range(12):
        assert fake.put_buckets("d", {number: 4}) is moto.put_buckets("d", {number: 4}) is True
        for _ in range(40):
            write = any_write(random)
            fake_outcome = write_and_read(fake, number, write)
            assert fake_outcome == write_and_read(moto, number, write), write
            applied += fake_outcome[0] is None
    assert 80 < applied < 400


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ("SET a = a + :x - :x", "found"),
        ("SET h.#h = :x REMOVE h", "overlap"),
        ("SET g.#h = :x", "no map"),
        ("SET a = b", "does not exist"),
        ("SET a = b + :x", "does not exist"),
    ],
)
def test_invalid_update_expression_is_refused(update: str, reason: str) -> None:
    table = StrictFakeDynamoDB()
    table.items["stock", "d#0"] = {"pk": "d#0", "a": 1, "h": {}}
    with pytest.raises(InvalidDynamoDBRequest, match=reason):
        table.update_item(
            TableName="stock",
            Key={"pk": {"S": "d#0"}},
            UpdateExpression=update,
            ConditionExpression="attribute_not_exists(h.#h) AND pk <> :x",
            ExpressionAttributeValues={":x": {"N": "1"}},
            ExpressionAttributeNames={"#h": "AAAAAAAAAAA"},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )


def test_refused_put_raises_condition_failure() -> None:
    table = StrictFakeDynamoDB()
    table.items["stock", "d#0"] = {"pk": "d#0", "a": 1, "h": {}}
    with pytest.raises(ClientError) as refusal:
        table.put_item(TableName="stock", Item={"pk": {"S": "d#0"}}, ConditionExpression="attribute_not_exists(pk)")
    assert refusal.value.response["Error"]["Code"] == "ConditionalCheckFailedException"


def test_unused_placeholder_is_refused() -> None:
    table = StrictFakeDynamoDB()
    table.items["stock", "d#0"] = {"pk": "d#0", "a": 1, "h": {}}
    with pytest.raises(InvalidDynamoDBRequest, match=":x is not used"):
        table.update_item(
            TableName="stock",
            Key={"pk": {"S": "d#0"}},
            UpdateExpression="REMOVE a",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":x": {"N": "1"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )


def test_condition_on_the_beginning_of_a_sort_key() -> None:
    table = StrictFakeDynamoDB()
    for sort_key in ("PURCHASE", "MOVE#stripe#1", "EVENT"):
        table.items["commerce", "p", sort_key] = {"pk": "p", "sk": sort_key}
    found = table.query(
        TableName="commerce",
        KeyConditionExpression="sk = :purchase OR begins_with(sk, :movement)",
        ExpressionAttributeValues={":purchase": {"S": "PURCHASE"}, ":movement": {"S": "MOVE#"}},
    )
    assert [item["sk"]["S"] for item in found["Items"]] == ["MOVE#stripe#1", "PURCHASE"]
