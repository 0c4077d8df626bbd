"""Purchases, and what buyers have of limited drops, in the commerce table. The only file here that knows DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.errors import BadInput
from chalicelib.instants import DAY, SECOND, Instant, UnixSeconds
from chalicelib.purchase.model import Purchase

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY = "PURCHASE"
_PREFIX = "PURCHASE#"
LIMIT_RETENTION: Instant = 90 * DAY

# Names inside lines, totals, payment and refunds, which no condition uses: a line in 170 bytes in place of 270, so that
# a one-line purchase stays under 1 KB, one write unit, to its last write.
_SHORT: Final = {
    "action_url": "au", "amount": "am", "attempt": "at", "automatic": "ac", "bucket": "b", "bucket_count": "bc",
    "budget": "bu", "budget_holds": "bh", "charge_id": "ch", "code": "c", "commission_bps": "cb", "completed_at": "ca",
    "creator_id": "cr", "deadline": "dl", "discount": "di", "drop_id": "d", "epoch": "e", "expires_at": "u",
    "failure": "fa", "failure_code": "fc", "fingerprint": "fp", "handler_id": "hi", "held_by": "hb", "hold": "ho",
    "holds": "h", "image_url": "im", "instrument_id": "ii", "instrument_type": "it", "item_amount": "ia", "key": "k",
    "limit_per_buyer": "lb", "line_id": "li", "lines": "l", "max_hold_until": "mh", "parts": "ps", "price_until": "pu",
    "priority": "py", "provider": "pr", "provider_id": "pi", "quantity": "q", "released_by": "rl", "repriced": "rp",
    "requested_at": "ra", "requested_by": "rb", "restock": "re", "restocked": "rd", "shipping": "s",
    "shipping_tax": "st", "shipping_tax_rate_bps": "sr", "sku": "sk", "step_up": "up", "subtotal": "su", "tax": "t",
    "tax_category": "tc", "tax_on_top": "to", "tax_rate_bps": "tr", "title": "ti", "token": "tk", "total": "tt",
    "unit_price": "p", "velocity_keys": "vk",
}  # fmt: skip
_LONG: Final = {short: long for long, short in _SHORT.items()}
_ROOT_SHORT: Final = {"discount_codes": "codes", "idempotency_records": "keys", "rejected_codes": "refused"}
_ROOT_LONG: Final = {short: long for long, short in _ROOT_SHORT.items()}
_SQUEEZED: Final = ("lines", "totals", "payment", "refunds", "idempotency_records", "discounts")


def purchase_from_item(item: Mapping[str, Any]) -> Purchase:
    """The purchase of an item in the wire format, as read or as a stream delivers it."""
    record = aws.from_item(item)
    del record["sk"]
    record["id"] = record.pop("pk").removeprefix(_PREFIX)
    record = {_ROOT_LONG.get(name, name): value for name, value in record.items()}
    for name in _SQUEEZED:
        if name in record:
            record[name] = _rename_keys(record[name], _LONG)
    return Purchase.model_validate(record)


def _item(purchase: Purchase) -> aws.Item:
    record = purchase.model_dump(exclude_defaults=True, exclude_none=True, exclude={"id"})
    for name in _SQUEEZED:
        if name in record:
            record[name] = _rename_keys(record[name], _SHORT)
    record = {_ROOT_SHORT.get(name, name): value for name, value in record.items()}
    return aws.to_item({"pk": _PREFIX + purchase.id, "sk": _SORT_KEY, **record})


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
    """Purchases by id. Every write is conditional; what stood in the way of a refused one comes back with the refusal.

    An item of up to 1 KB (about one line) costs one write unit a write. ``BadInput`` for one of more than 400 KB, which
    the bounds of lines, holds and refunds leave no way to.
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

    def read_all(self, purchase_ids: Iterable[str]) -> dict[str, Purchase]:
        """Many purchases as they stand now, by id, 100 a call (1 RCU for each 4 KB); unknown ones are left out."""
        wanted = [{"pk": {"S": _PREFIX + one}, "sk": {"S": _SORT_KEY}} for one in purchase_ids]
        items = aws.batch_get(self.dynamodb, self.commerce_table, wanted, strong=True)
        return {purchase.id: purchase for purchase in map(purchase_from_item, items)}

    def create(self, purchase: Purchase) -> Written | Refused[Purchase]:
        """Put a purchase that must not exist yet. None when written, else the one that stands there."""
        return self._put(purchase, "attribute_not_exists(pk)", {})

    def replace(self, purchase: Purchase) -> Written | Refused[Purchase]:
        """Put the next version of a purchase over exactly the one before it. None when written, else what stands there.

        State, attempt and epoch belong to a version, so a condition on the version is one on all of them.
        """
        before = {":before": {"N": str(purchase.version - 1)}}
        return self._put(purchase, "version = :before", before)

    def _put(self, purchase: Purchase, condition: str, values: aws.Item) -> Written | Refused[Purchase]:
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
            if aws.is_item_too_large(error):
                detail = "There is more in this purchase than one can have."
                raise BadInput(detail, field="$.line_items", code="purchase_too_large") from None
            existing = aws.existing_item(error)
            if not aws.is_condition_failure(error) or existing is None:
                raise
            return Refused(purchase_from_item(existing))
        return Written()

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


@dataclass(frozen=True, slots=True)
class LimitEntry:
    """Units of one drop that a purchase counts for its buyer: as its ``version`` has them, written down at ``at``."""

    units: int
    version: int
    counted_at: UnixSeconds


LimitUsage = dict[str, LimitEntry]
"""What one buyer has of one drop, by purchase."""

_ENTRIES = {"#entries": "entries", "#units": "units", "#ends": "expires_at"}


@dataclass(frozen=True, slots=True)
class LimitStore:
    """What buyers have of limited drops: one item for a buyer's hash and a drop, entries by purchase, their sum beside.

    Each write is conditional, costs 1 WCU (up to some 20 purchases), and answers None when written, else the tally
    that stood in the way (empty when the item is gone). ``units`` is the sum of the entries at every instant. The item
    expires ninety days after its last write.
    """

    dynamodb: DynamoDBClient
    commerce_table: str

    def create(self, buyer: str, drop_id: str, purchase_id: str, entry: LimitEntry) -> Written | Refused[LimitUsage]:
        """Put a first entry where there is none for this buyer and drop."""
        item = {**_limit_key(buyer, drop_id), **_limit_values({purchase_id: entry}, entry.counted_at)}
        return self._write(
            self.dynamodb.put_item,
            Item=aws.to_item(item),
            ConditionExpression="attribute_not_exists(pk) OR entries = :none",
            ExpressionAttributeValues=aws.to_item({":none": {}}),
        )

    def put_entry(
        self, buyer: str, drop_id: str, purchase_id: str, entry: LimitEntry, seen: LimitEntry | None, limit: int
    ) -> Written | Refused[LimitUsage]:
        """Put an entry over what was ``seen`` of this purchase, if the sum stays within the limit."""
        more = entry.units - (seen.units if seen else 0)
        own_condition = "attribute_not_exists(#entries.#own)" if seen is None else "#entries.#own = :seen"
        values = {
            ":entry": _entry_to_record(entry),
            ":more": more,
            ":room": limit - more,
            ":ends": _expires_at(entry.counted_at),
        }
        return self._update(
            _limit_key(buyer, drop_id),
            "SET #entries.#own = :entry, #units = #units + :more, #ends = :ends",
            f"{own_condition} AND #units <= :room",
            values if seen is None else {**values, ":seen": _entry_to_record(seen)},
            {**_ENTRIES, "#own": purchase_id},
        )

    def compare_and_set(
        self, buyer: str, drop_id: str, seen: LimitUsage, usage: LimitUsage, at: UnixSeconds
    ) -> Written | Refused[LimitUsage]:
        """Put a tally over exactly the one that was ``seen``."""
        values = _limit_values(usage, at)
        return self._update(
            _limit_key(buyer, drop_id),
            "SET #entries = :entries, #units = :units, #ends = :ends",
            "#entries = :seen",
            {
                ":entries": values["entries"],
                ":units": values["units"],
                ":ends": values["expires_at"],
                ":seen": {one: _entry_to_record(entry) for one, entry in seen.items()},
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
    """The tally of a record as it was read; empty where there is none."""
    return {one: LimitEntry(part["q"], part["v"], part["t"]) for one, part in record.get("entries", {}).items()}


def _limit_key(buyer: str, drop_id: str) -> dict[str, str]:
    return {"pk": f"LIMIT#{buyer}", "sk": f"DROP#{drop_id}"}


def _limit_values(usage: LimitUsage, at: UnixSeconds) -> dict[str, Any]:
    units = sum(entry.units for entry in usage.values())
    return {
        "entries": {one: _entry_to_record(entry) for one, entry in usage.items()},
        "units": units,
        "expires_at": _expires_at(at),
    }


def _entry_to_record(entry: LimitEntry) -> dict[str, int]:
    return {"q": entry.units, "v": entry.version, "t": entry.counted_at}


def _expires_at(at: UnixSeconds) -> UnixSeconds:
    return at + LIMIT_RETENTION // SECOND
