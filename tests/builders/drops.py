"""Drops that are open, and their records stored without an operator's request."""

from __future__ import annotations

from typing import Any

from chalicelib.aws import to_item
from chalicelib.shows import Drop


def an_open_drop(**changes: Any) -> Drop:
    """Return a drop of mugs at 10.00 GBP that has always been open."""
    standard = {"id": "mug", "show_id": "s", "sku": "m", "title": "Mug", "unit_price": 1_000, "currency": "GBP"}
    return Drop.model_validate(standard | {"opens_at": 0} | changes)


def put_drop_record(client: Any, drop: Drop, commerce_table: str = "commerce") -> None:
    """Store a drop's record. Its buckets are created apart."""
    record = {"pk": f"DROP#{drop.id}", "sk": "DROP", **drop.model_dump(exclude_none=True)}
    client.put_item(TableName=commerce_table, Item=to_item(record), ConditionExpression="attribute_not_exists(pk)")
