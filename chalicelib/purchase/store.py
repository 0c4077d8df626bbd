"""Store purchases and limit usage in the commerce table. The only file of this room that knows DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.errors import BadInput
from chalicelib.instants import DAY, SECOND, Instant, UnixSeconds
from chalicelib.purchase.model import Purchase
from chalicelib.purchase.short_names import LONG, ROOT_LONG, ROOT_SHORT, SHORT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY = "PURCHASE"
PURCHASE_PREFIX: Final = "PURCHASE#"
LIMIT_RETENTION: Instant = 90 * DAY
ROOM_AFTER_PLACING: Final = 84_500
"""Bytes that a buyer's write leaves free: for what payment, refunds, a cancellation and disputes add to it."""
_MAX_ITEM_BYTES: Final = 409_600

_SQUEEZED: Final = ("lines", "totals", "payment", "refunds", "idempotency_records", "discounts", "disputes")


def purchase_from_item(item: Mapping[str, Any]) -> Purchase:
    """Convert an item in DynamoDB's wire format, as a read or a stream delivers it."""
    record = aws.from_item(item)
    del record["sk"]
    record["id"] = record.pop("pk").removeprefix(PURCHASE_PREFIX)
    record = {ROOT_LONG.get(name, name): value for name, value in record.items()}
    for name in _SQUEEZED:
        if name in record:
            record[name] = _rename_keys(record[name], LONG)
    return Purchase.model_validate(record)


def _item(purchase: Purchase) -> aws.Item:
    record = purchase.model_dump(exclude_defaults=True, exclude_none=True, exclude={"id"})
    for name in _SQUEEZED:
        if name in record:
            record[name] = _rename_keys(record[name], SHORT)
    record = {ROOT_SHORT.get(name, name): value for name, value in record.items()}
    return aws.to_item({"pk": PURCHASE_PREFIX + purchase.id, "sk": _SORT_KEY, **record})


def _rename_keys(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(name, name): _rename_keys(part, names) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rename_keys(part, names) for part in value]
    return value


Stored = TypeVar("Stored")


@dataclass(frozen=True, slots=True)
class Written:
    """The condition held and the item is stored."""


@dataclass(frozen=True, slots=True)
class Refused(Generic[Stored]):
    """The condition did not hold and nothing was written."""

    existing: Stored
    """The item as the refused write found it."""


@dataclass(frozen=True, slots=True)
class PurchaseStore:
    """Purchases by id. Every write is conditional, and a refused write returns the item that refused it.

    A write costs 1 WCU for each KB; one line takes about one KB. The bounds of lines, holds, changes and refunds keep
    an item below DynamoDB's 400 KB.
    """

    dynamodb: DynamoDBClient
    commerce_table: str

    def read(self, purchase_id: str) -> Purchase | None:
        """Read a purchase. One consistent read (1 RCU for each 4 KB)."""
        answer = self.dynamodb.get_item(
            TableName=self.commerce_table,
            Key={"pk": {"S": PURCHASE_PREFIX + purchase_id}, "sk": {"S": _SORT_KEY}},
            ConsistentRead=True,
        )
        return purchase_from_item(answer["Item"]) if "Item" in answer else None

    def read_all(self, purchase_ids: Iterable[str]) -> dict[str, Purchase]:
        """Read purchases by id, 100 a call. Unknown ids are left out. Consistent: 1 RCU for each 4 KB."""
        keys = [{"pk": {"S": PURCHASE_PREFIX + purchase_id}, "sk": {"S": _SORT_KEY}} for purchase_id in purchase_ids]
        items = aws.batch_get(self.dynamodb, self.commerce_table, keys, strong=True)
        return {purchase.id: purchase for purchase in map(purchase_from_item, items)}

    def create(self, purchase: Purchase) -> Written | Refused[Purchase]:
        """Store a purchase that must not exist yet.

        Raises:
            BadInput: the item would not leave ``ROOM_AFTER_PLACING`` below 400 KB.
        """
        return self._put(purchase, "attribute_not_exists(pk)", {}, ROOM_AFTER_PLACING)

    def replace(self, purchase: Purchase, *, room: int = 0) -> Written | Refused[Purchase]:
        """Store the next version of a purchase over exactly the version before it.

        State, attempt and epoch belong to a version, so the condition on the version covers them. A buyer's request
        leaves ``room`` bytes, so that no later write fails for the item's size.

        Raises:
            BadInput: the item would not leave ``room`` below 400 KB.
        """
        before = {":before": {"N": str(purchase.version - 1)}}
        return self._put(purchase, "version = :before", before, room)

    def _put(self, purchase: Purchase, condition: str, values: aws.Item, room: int) -> Written | Refused[Purchase]:
        item = _item(purchase)
        if room and aws.item_size(item) > _MAX_ITEM_BYTES - room:
            raise _too_large()
        request: dict[str, Any] = {
            "TableName": self.commerce_table,
            "Item": item,
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if values:
            request["ExpressionAttributeValues"] = values
        try:
            self.dynamodb.put_item(**request)
        except ClientError as error:
            if aws.is_item_too_large(error):
                raise _too_large() from None
            existing = aws.existing_item(error)
            if not aws.is_condition_failure(error) or existing is None:
                raise
            return Refused(purchase_from_item(existing))
        return Written()

    def scan(self) -> Iterator[Purchase]:
        """Read every purchase, in no order: for repair and for closing a day. Consistent: 1 RCU for each 4 KB."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.commerce_table,
            FilterExpression="sk = :purchase",
            ExpressionAttributeValues={":purchase": {"S": _SORT_KEY}},
            ConsistentRead=True,
        )
        for page in pages:
            for item in page["Items"]:
                yield purchase_from_item(item)


def _too_large() -> BadInput:
    detail = "The purchase has too many lines or holds. Buy further units in another purchase."
    return BadInput(detail, field="$.line_items", code="purchase_too_large")


@dataclass(frozen=True, slots=True)
class LimitEntry:
    """Units that one purchase counts for its buyer: as its ``version`` has them, counted at ``counted_at``."""

    units: int
    version: int
    counted_at: UnixSeconds


LimitUsage = dict[str, LimitEntry]
"""Entries of one buyer for one drop, or for one discount, by purchase id."""

_ENTRIES = {"#entries": "entries", "#units": "units", "#ends": "expires_at"}


@dataclass(frozen=True, slots=True)
class LimitStore:
    """Limit usage: one item for a buyer's hash and a drop or discount, with entries by purchase and their sum.

    Each write is conditional and costs 1 WCU (up to some 20 purchases). A refused write returns the usage that refused
    it, which is empty when the item is gone. ``units`` is the sum of the entries at every instant. The item expires
    ninety days after its last write.
    """

    dynamodb: DynamoDBClient
    commerce_table: str

    def create(self, buyer: str, limit_key: str, purchase_id: str, entry: LimitEntry) -> Written | Refused[LimitUsage]:
        """Store the first entry of a buyer for a drop or discount."""
        item = {**_limit_item_key(buyer, limit_key), **_limit_values({purchase_id: entry}, entry.counted_at)}
        return self._write(
            self.dynamodb.put_item,
            Item=aws.to_item(item),
            ConditionExpression="attribute_not_exists(pk) OR entries = :none",
            ExpressionAttributeValues=aws.to_item({":none": {}}),
        )

    def put_entry(
        self, buyer: str, limit_key: str, purchase_id: str, entry: LimitEntry, expected: LimitEntry | None, limit: int
    ) -> Written | Refused[LimitUsage]:
        """Store an entry over the ``expected`` one of this purchase, if the sum stays within the limit."""
        more = entry.units - (expected.units if expected else 0)
        own_condition = "attribute_not_exists(#entries.#own)" if expected is None else "#entries.#own = :expected"
        values = {
            ":entry": _entry_to_record(entry),
            ":more": more,
            ":room": limit - more,
            ":ends": _expires_at(entry.counted_at),
        }
        return self._update(
            _limit_item_key(buyer, limit_key),
            "SET #entries.#own = :entry, #units = #units + :more, #ends = :ends",
            f"{own_condition} AND #units <= :room",
            values if expected is None else {**values, ":expected": _entry_to_record(expected)},
            {**_ENTRIES, "#own": purchase_id},
        )

    def compare_and_set(
        self, buyer: str, limit_key: str, expected: LimitUsage, usage: LimitUsage, at: UnixSeconds
    ) -> Written | Refused[LimitUsage]:
        """Store usage over exactly the ``expected`` usage."""
        values = _limit_values(usage, at)
        return self._update(
            _limit_item_key(buyer, limit_key),
            "SET #entries = :entries, #units = :units, #ends = :ends",
            "#entries = :expected",
            {
                ":entries": values["entries"],
                ":units": values["units"],
                ":ends": values["expires_at"],
                ":expected": {purchase_id: _entry_to_record(entry) for purchase_id, entry in expected.items()},
            },
            _ENTRIES,
        )

    def _update(
        self, key: Mapping[str, str], update: str, condition: str, values: Mapping[str, Any], names: Mapping[str, str]
    ) -> Written | Refused[LimitUsage]:
        return self._write(
            self.dynamodb.update_item,
            Key=aws.to_item(key),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=aws.to_item(values),
            ExpressionAttributeNames=names,
        )

    def _write(self, write: Callable[..., object], **call: Any) -> Written | Refused[LimitUsage]:
        try:
            write(TableName=self.commerce_table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **call)
        except ClientError as error:
            if not aws.is_condition_failure(error):
                raise
            return Refused(usage_from_record(aws.from_item(aws.existing_item(error) or {})))
        return Written()


def usage_from_record(record: Mapping[str, Any]) -> LimitUsage:
    """Convert a record; an item that does not exist is empty usage."""
    return {key: LimitEntry(part["q"], part["v"], part["t"]) for key, part in record.get("entries", {}).items()}


def _limit_item_key(buyer: str, limit_key: str) -> dict[str, str]:
    return {"pk": f"LIMIT#{buyer}", "sk": f"DROP#{limit_key}"}


def _limit_values(usage: LimitUsage, at: UnixSeconds) -> dict[str, Any]:
    units = sum(entry.units for entry in usage.values())
    return {
        "entries": {purchase_id: _entry_to_record(entry) for purchase_id, entry in usage.items()},
        "units": units,
        "expires_at": _expires_at(at),
    }


def _entry_to_record(entry: LimitEntry) -> dict[str, int]:
    return {"q": entry.units, "v": entry.version, "t": entry.counted_at}


def _expires_at(at: UnixSeconds) -> UnixSeconds:
    return at + LIMIT_RETENTION // SECOND
