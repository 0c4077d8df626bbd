"""Read all purchases, each with what moved the shop's balance for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib import aws
from chalicelib.payments import MOVEMENT_PREFIX, Movement, movement_from_item
from chalicelib.purchase.model import Purchase
from chalicelib.purchase.store import PURCHASE_PREFIX, PurchaseStore, purchase_from_item

ScanPosition = tuple[str, str]
"""The key of an item: a scan that begins there reads what comes after it."""

_SORT_KEY = "PURCHASE"


@dataclass(frozen=True, slots=True)
class PurchaseMovements:
    """A purchase and its movements, or one movement of the account (``purchase`` None). ``position`` is its last item.

    Movements of a purchase that does not exist come together, with ``purchase`` None.
    """

    purchase: Purchase | None
    movements: tuple[Movement, ...]
    position: ScanPosition


def scan_with_movements(store: PurchaseStore, after: ScanPosition | None = None) -> Iterator[PurchaseMovements]:
    """Read every purchase with its movements, and every other movement, in the order of the table.

    A scan returns the items of a partition one after another, so the memory is that of one purchase and one page of
    1 MB. Consistent: 1 RCU for each 4 KB. ``after`` continues an earlier scan.
    """
    partition: list[aws.Item] = []
    for item in _items(store, after):
        if partition and (_pk(item) != _pk(partition[0]) or not _pk(item).startswith(PURCHASE_PREFIX)):
            yield _to_group(partition)
            partition = []
        partition.append(item)
    if partition:
        yield _to_group(partition)


def _items(store: PurchaseStore, after: ScanPosition | None) -> Iterator[aws.Item]:
    start: dict[str, Any] = {}
    if after is not None:
        start = {"ExclusiveStartKey": aws.to_item({"pk": after[0], "sk": after[1]})}
    pages = store.dynamodb.get_paginator("scan").paginate(
        TableName=store.commerce_table,
        FilterExpression="sk = :purchase OR begins_with(sk, :movement)",
        ExpressionAttributeValues=aws.to_item({":purchase": _SORT_KEY, ":movement": MOVEMENT_PREFIX}),
        ConsistentRead=True,
        **start,
    )
    for page in pages:
        yield from page["Items"]


def _pk(item: aws.Item) -> str:
    return str(item["pk"]["S"])


def _to_group(partition: list[aws.Item]) -> PurchaseMovements:
    purchase, movements = None, []
    for item in partition:
        if item["sk"]["S"] == _SORT_KEY:
            purchase = purchase_from_item(item)
        else:
            movements.append(movement_from_item(item))
    return PurchaseMovements(purchase, tuple(movements), (_pk(partition[-1]), partition[-1]["sk"]["S"]))
