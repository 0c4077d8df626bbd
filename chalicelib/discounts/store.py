"""The store of the discounts room, in the commerce table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chalicelib.aws import from_item, read_pages, to_item, unavailable_on_failure
from chalicelib.discounts.records import DiscountRecord
from chalicelib.revisions import AuditEntry, commit_revision

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_UNREACHABLE: Final = "The shop's discounts cannot be reached. Retry later."
_SORT_KEY: Final = "OFFER"


class DiscountStore:
    """Reads and writes discounts: ``OFFER#code / OFFER``, and audit items in the same partition.

    An automatic discount has a copy under ``OFFERS#show``, for the query of its show. Every method may raise
    ``Unavailable``. The outcome of a write is then unknown.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str) -> None:
        self._dynamodb = dynamodb
        self._table = commerce_table

    def read(self, code: str, *, strong: bool) -> DiscountRecord | None:
        """Read a discount, which may be a draft: 1 RCU if ``strong``, else 0.5."""
        key = to_item({"pk": f"OFFER#{code}", "sk": _SORT_KEY})
        with unavailable_on_failure(_UNREACHABLE):
            answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=strong)
        return DiscountRecord.model_validate(from_item(answer["Item"])) if "Item" in answer else None

    def automatic_of_show(self, show_id: str) -> list[DiscountRecord]:
        """Read the automatic discounts of a show, in the order of their codes: one query (0.5 RCU for 4 KB)."""
        with unavailable_on_failure(_UNREACHABLE):
            items = read_pages(
                self._dynamodb.query,
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues=to_item({":pk": f"OFFERS#{show_id}", ":first": "OFFER#", ":last": "OFFER$"}),
            )
            return [DiscountRecord.model_validate(from_item(item)) for item in items]

    def commit(self, before: DiscountRecord | None, after: DiscountRecord, action: str) -> bool:
        """Write ``after`` over ``before``, with its audit item and its copy, or nothing. Costs 4 to 6 WCU.

        Returns False when a rival has changed the discount since ``before``.
        """
        partition = f"OFFER#{after.code}"
        audit_key = {"pk": partition, "sk": f"AUDIT#{after.changed_at:013d}#{after.revision}"}
        copies = []
        if after.automatic and not after.draft:
            copies.append({"pk": f"OFFERS#{after.show_id}", "sk": partition, **after.model_dump()})
        with unavailable_on_failure(_UNREACHABLE):
            return commit_revision(
                self._dynamodb,
                self._table,
                {"pk": partition, "sk": _SORT_KEY},
                before,
                after,
                AuditEntry(audit_key, after.code, action),
                copies,
            )
