"""Records with a revision: each write replaces the revision that was read, and leaves an audit item beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from chalicelib.aws import to_attribute, to_item, try_transaction
from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant
from chalicelib.schema import FrozenModel

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WRITE_TRIES: Final = 10
"""Reads and writes of a record, each write lost to a rival, before the caller is asked to retry later."""


class RevisionedRecord(FrozenModel):
    """The fields of a record beside its content. Each write raises ``revision`` by one."""

    unaudited_fields: ClassVar[frozenset[str]] = frozenset(
        {"revision", "created_by", "created_at", "changed_by", "changed_at"}
    )
    """Fields whose changes no audit item lists."""

    revision: int = 1
    created_by: str
    created_at: Instant
    changed_by: str
    changed_at: Instant

    def with_changes(self, changes: Mapping[str, Any], actor: str, now: Instant) -> Self:
        """Return the record with these changes, as its next revision."""
        stamp = {"revision": self.revision + 1, "changed_by": actor, "changed_at": now}
        return self.model_copy(update={**changes, **stamp})


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Key, subject and action of a write's audit item. The records give the rest."""

    key: Mapping[str, str]
    subject: str
    action: str


def commit_revision(
    dynamodb: DynamoDBClient,
    table: str,
    key: Mapping[str, str],
    before: RevisionedRecord | None,
    after: RevisionedRecord,
    audit: AuditEntry,
    further_items: Sequence[Mapping[str, Any]] = (),
) -> bool:
    """Write ``after`` over ``before``, with its audit item and ``further_items``, in one transaction.

    Costs 2 WCU for each item of up to 1 KB. Returns False, and writes nothing, when the stored record has another
    revision than ``before``, or exists though ``before`` is None.
    """
    audit_item = {
        **audit.key,
        "subject": audit.subject,
        "action": audit.action,
        "by": after.changed_by,
        "at": after.changed_at,
        "changes": audit_changes(before, after),
    }
    record = {**key, **after.model_dump()}
    puts: list[dict[str, Any]] = [
        {"TableName": table, "Item": to_item(item)} for item in (record, audit_item, *further_items)
    ]
    puts[0] |= _is_unchanged_since(before)
    return try_transaction(dynamodb, [{"Put": put} for put in puts])


def audit_changes(before: RevisionedRecord | None, after: RevisionedRecord) -> dict[str, Any]:
    """Compare two revisions: ``{field: {"from": …, "to": …}}``. An absent end is None."""
    excluded = set(after.unaudited_fields)
    old = {} if before is None else before.model_dump(exclude=excluded)
    new = after.model_dump(exclude=excluded)
    return {name: {"from": old.get(name), "to": value} for name, value in new.items() if old.get(name) != value}


def write_conflict(subject: str) -> WriteConflict:
    """Return the error of a caller that lost a record to rivals in each of its tries."""
    return WriteConflict(f"Other requests are changing {subject}. Retry later.")


def _is_unchanged_since(before: RevisionedRecord | None) -> dict[str, Any]:
    if before is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#revision = :read_revision",
        "ExpressionAttributeNames": {"#revision": "revision"},
        "ExpressionAttributeValues": {":read_revision": to_attribute(before.revision)},
    }
