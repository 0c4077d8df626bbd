from __future__ import annotations

from chalicelib.stock import BucketSums, Pool
from tests.builders.stock import EXPIRES_AT, NOW, ORDER, SECONDS, StockFixture
from tests.conftest import Tables


def test_the_audit_adds_up_and_names_orders(tables: Tables) -> None:
    fixture = StockFixture(tables, [4])
    ids = fixture.ids(0)
    fixture.stock.commit(fixture.pool, fixture.hold(next(ids), 2), 2, ORDER)
    fixture.hold(next(ids), 1, expires_at=SECONDS - 3)
    audit = fixture.stock.audit(fixture.pool, 4, NOW)
    assert (audit.size, audit.available, audit.held, audit.sold) == (4, 2, 0, 2)
    assert audit.buckets == (BucketSums(0, size=4, available=2, held=0, sold=2, lapsed=1),)
    assert (audit.sold_by_order, audit.lapsed_at_risk, audit.mismatches) == ({"order-abc": 2}, 1, ())


def test_the_audit_reports_each_rule_that_tampering_breaks(tables: Tables) -> None:
    fixture = StockFixture(tables, [2, 2])
    name = next(fixture.ids(0))
    fixture.hold(name)
    tables.dynamodb.update_item(
        TableName=tables.stock,
        Key={"pk": {"S": "d#1"}},
        UpdateExpression="SET h.#h = :one",
        ExpressionAttributeNames={"#h": name},
        ExpressionAttributeValues={":one": {"M": {"q": {"N": "1"}, "u": {"N": str(EXPIRES_AT)}}}},
    )
    assert fixture.stock.audit(Pool("d", 3), 5, NOW).mismatches == (
        "Buckets [2] do not exist.",
        "Bucket 1 has 2 available units and 1 in holds, its size is 2.",
        "The buckets have 4 units, the drop offers 5.",
        f"Hold {name} has units in buckets [0, 1].",
    )
