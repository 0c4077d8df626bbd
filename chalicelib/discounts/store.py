"""Where discounts are kept: the commerce table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib.aws import AWS_ERRORS, from_item, to_attribute, to_item
from chalicelib.discounts.records import DiscountRecord, audit_changes
from chalicelib.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY: Final = "OFFER"
_LOST_RACE_REASONS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
"""Reasons for which a transaction is cancelled because someone else was faster."""


class DiscountStore:
    """``OFFER#code / OFFER``, its audits beside it, and a copy of each automatic one under ``OFFERS#show``."""

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str) -> None:
        self._dynamodb = dynamodb
        self._table = commerce_table

    def read(self, code: str, *, strong: bool) -> DiscountRecord | None:
        """A discount: 1 RCU strong, 0.5 not."""
        with _translated_aws_errors():
            answer = self._dynamodb.get_item(
                TableName=self._table,
                Key={"pk": {"S": f"OFFER#{code}"}, "sk": {"S": _SORT_KEY}},
                ConsistentRead=strong,
            )
        return DiscountRecord.model_validate(from_item(answer["Item"])) if "Item" in answer else None

    def automatic_of_show(self, show_id: str) -> list[DiscountRecord]:
        """The automatic offers of a show, in the order of their codes: one query (0.5 RCU for 4 KB)."""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": to_item({":pk": f"OFFERS#{show_id}", ":first": "OFFER#", ":last": "OFFER$"}),
        }
        found: list[DiscountRecord] = []
        while True:
            with _translated_aws_errors():
                page = self._dynamodb.query(**query)
            found += [DiscountRecord.model_validate(from_item(item)) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def commit(self, before: DiscountRecord | None, after: DiscountRecord, action: str) -> bool:
        """Put a discount over exactly what was seen, with its audit and its copy, or nothing: False. 4 to 6 WCU."""
        key = {"pk": f"OFFER#{after.code}", "sk": _SORT_KEY}
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": to_item(key | after.model_dump()),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if before is not None:
            put |= {
                "ConditionExpression": "#revision = :seen",
                "ExpressionAttributeNames": {"#revision": "revision"},
                "ExpressionAttributeValues": {":seen": to_attribute(before.revision)},
            }
        audit = {
            "pk": f"OFFER#{after.code}",
            "sk": f"AUDIT#{after.changed_at:013d}#{after.revision}",
            "subject": after.code,
            "action": action,
            "by": after.changed_by,
            "at": after.changed_at,
            "changes": audit_changes(before, after),
        }
        puts: list[Any] = [{"Put": put}, {"Put": {"TableName": self._table, "Item": to_item(audit)}}]
        if after.automatic and not after.draft:
            copy = {"pk": f"OFFERS#{after.show_id}", "sk": f"OFFER#{after.code}"} | after.model_dump()
            puts.append({"Put": {"TableName": self._table, "Item": to_item(copy)}})
        try:
            with _translated_aws_errors():
                self._dynamodb.transact_write_items(TransactItems=puts)
        except _LostRace:
            return False
        return True


class _LostRace(Exception):
    """A write was refused by its condition or by a rival's transaction; nothing was written."""


@contextmanager
def _translated_aws_errors() -> Iterator[None]:
    """Say ``Unavailable`` where AWS cannot be reached; the outcome of a write is then unknown."""
    try:
        yield
    except ClientError as error:
        if _LOST_RACE_REASONS & {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}:
            raise _LostRace from error
        raise Unavailable("the shop's discounts cannot be reached at the moment") from error
    except AWS_ERRORS as error:
        raise Unavailable("the shop's discounts cannot be reached at the moment") from error
