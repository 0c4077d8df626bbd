"""The purchase's item in the commerce table. The only file here that knows DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.checkout.model import Purchase

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY = "PURCHASE"
_PREFIX = "PURCHASE#"


# Names inside lines, totals, payment and refunds, which no condition uses: a line in 170 bytes in place of 270, so that
# a one-line purchase stays under 1 KB, one write unit, to its last write.
_SHORT: Final = {
    "amount": "am", "attempt": "at", "charge_id": "ch", "commission_bps": "cb", "creator_id": "cr", "done_at": "da",
    "drop_id": "d", "epoch": "e", "failure": "fa", "fingerprint": "fp", "goods": "g", "handler_id": "hi",
    "holds": "h", "homes": "hm", "image_url": "im", "instrument_id": "ii", "instrument_type": "it", "key": "k",
    "line_id": "li", "lines": "l", "price_until": "pu", "provider": "pr", "provider_id": "pi", "quantity": "q",
    "repriced": "rp", "requested_at": "ra", "restock": "re", "restocked": "rd", "shipping": "s", "shipping_tax": "st",
    "shipping_tax_rate_bps": "sr", "sku": "sk", "subtotal": "su", "tax": "t", "tax_category": "tc", "tax_on_top": "to",
    "tax_rate_bps": "tr", "title": "ti", "token": "tk", "total": "tt", "unit_price": "p", "bucket": "b", "until": "u",
}  # fmt: skip
_LONG: Final = {short: long for long, short in _SHORT.items()}
_SQUEEZED: Final = ("lines", "totals", "payment", "refunds", "keys")


def purchase_from_item(item: Mapping[str, Any]) -> Purchase:
    """The purchase of an item in the wire format, as read or as a stream delivers it."""
    record = aws.from_item(item)
    del record["sk"]
    record["id"] = record.pop("pk").removeprefix(_PREFIX)
    for name in _SQUEEZED:
        if name in record:
            record[name] = _renamed(record[name], _LONG)
    return Purchase.model_validate(record)


def _item(purchase: Purchase) -> aws.Item:
    record = purchase.model_dump(exclude_defaults=True, exclude_none=True, exclude={"id"})
    for name in _SQUEEZED:
        if name in record:
            record[name] = _renamed(record[name], _SHORT)
    return aws.to_item({"pk": _PREFIX + purchase.id, "sk": _SORT_KEY, **record})


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(name, name): _renamed(part, names) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(part, names) for part in value]
    return value


@dataclass(frozen=True, slots=True)
class PurchaseStore:
    """Purchases by id. Every write is conditional; what stood in the way of a refused one comes back with the refusal.

    An item of up to 1 KB (about one line) costs one write unit a write.
    """

    dynamodb: DynamoDBClient
    commerce_table: str

    def read(self, purchase_id: str) -> Purchase | None:
        """The purchase as it stands now. One consistent read (1 RCU for each 4 KB)."""
        answer = self.dynamodb.get_item(
            TableName=self.commerce_table,
            Key={"pk": {"S": _PREFIX + purchase_id}, "sk": {"S": _SORT_KEY}},
            ConsistentRead=True,
        )
        return purchase_from_item(answer["Item"]) if "Item" in answer else None

    def create(self, purchase: Purchase) -> Purchase | None:
        """Put a purchase that must not exist yet. None when written, else the one that stands there."""
        return self._put(purchase, "attribute_not_exists(pk)", {})

    def replace(self, purchase: Purchase) -> Purchase | None:
        """Put the next version of a purchase over exactly the one before it. None when written, else what stands there.

        State, attempt and epoch belong to a version, so a condition on the version is one on all of them.
        """
        before = {":before": {"N": str(purchase.version - 1)}}
        return self._put(purchase, "version = :before", before)

    def _put(self, purchase: Purchase, condition: str, values: aws.Item) -> Purchase | None:
        request: dict[str, Any] = {
            "TableName": self.commerce_table,
            "Item": _item(purchase),
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if values:
            request["ExpressionAttributeValues"] = values
        try:
            self.dynamodb.put_item(**request)
        except ClientError as error:
            standing = aws.refused_item(error)
            if not aws.refused(error) or standing is None:
                raise
            return purchase_from_item(standing)
        return None

    def scan(self) -> Iterator[Purchase]:
        """Every purchase there is, in no order: for repair and for closing a day. One read unit for each 4 KB."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.commerce_table,
            FilterExpression="sk = :purchase",
            ExpressionAttributeValues={":purchase": {"S": _SORT_KEY}},
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield purchase_from_item(item)
