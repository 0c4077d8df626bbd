"""Read what an audit needs of the commerce table: purchases without their personal parts, and limit records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chalicelib import aws
from chalicelib.purchase import LimitUsage, Purchase, PurchaseStore, purchase_from_item, usage_from_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AUDITED_ATTRIBUTES: Final = (
    "pk", "sk", "version", "state", "platform", "show_id", "currency", "market", "created_at", "updated_at", "lines",
    "attempt", "epoch", "placed_at", "refunds", "entries", "units",
)  # fmt: skip
"""Attributes that an audit reads: nothing personal. The HTTP function's policy lets it scan no others."""


@dataclass(frozen=True, slots=True)
class LimitUsageRecord:
    """One buyer's count for a limit, as it was read. ``buyer`` is a hash, ``units`` the stored sum of the entries."""

    buyer: str
    usage: LimitUsage
    units: int


@dataclass(frozen=True, slots=True)
class Page:
    """The purchases and limit records of one page of the table."""

    purchases: list[Purchase]
    limit_records: list[LimitUsageRecord]


def read_pages(store: PurchaseStore, drop_id: str, show_id: str | None) -> Iterator[Page]:
    """Yield the purchases of a show (None: of all shows), and all limit records of a drop.

    The purchases lack attributes, so never write them back. There is no index by show or drop: each page is 1 MB of
    the whole table, strongly read (256 RCU). All that existed before the first read is in one of the pages.
    """
    condition = "#sk = :purchase" if show_id is None else "#sk = :purchase AND #show_id = :show"
    values = {":purchase": {"S": "PURCHASE"}, ":drop": {"S": f"DROP#{drop_id}"}}
    dynamodb: DynamoDBClient = store.dynamodb
    scanned = dynamodb.get_paginator("scan").paginate(
        TableName=store.commerce_table,
        Select="SPECIFIC_ATTRIBUTES",
        ProjectionExpression=", ".join(f"#{name}" for name in AUDITED_ATTRIBUTES),
        ExpressionAttributeNames={f"#{name}": name for name in AUDITED_ATTRIBUTES},
        FilterExpression=f"({condition}) OR (#sk = :drop AND attribute_exists(#entries))",
        ExpressionAttributeValues=values if show_id is None else {**values, ":show": {"S": show_id}},
        ConsistentRead=True,
    )
    for page in scanned:
        limit_records = [_limit_record(item) for item in page["Items"] if "entries" in item]
        yield Page([purchase_from_item(item) for item in page["Items"] if "entries" not in item], limit_records)


def _limit_record(item: Mapping[str, Any]) -> LimitUsageRecord:
    record = aws.from_item(item)
    return LimitUsageRecord(record["pk"].removeprefix("LIMIT#"), usage_from_record(record), record["units"])
