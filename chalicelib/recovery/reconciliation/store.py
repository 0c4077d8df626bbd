"""Store the state of a comparison, so that a later run of a function goes on where an earlier one stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chalicelib import aws
from chalicelib.capture import LATE_PAYMENT
from chalicelib.instants import DAY, Instant
from chalicelib.purchase import ScanPosition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_LISTED_DIFFERENCES: Final = 500
"""A comparison counts every difference and lists the first ones: they take some 100 KB of its item."""

OLDEST_ORPHAN: Final[Instant] = 8 * DAY
"""Attempts that ended longer ago are not looked at again: what they left authorised has expired at the provider."""

Sums = dict[str, dict[str, int]]
"""Minor units by currency and by kind of movement."""


@dataclass(slots=True)
class Comparison:
    """One comparison of all orders, from its first read to its last.

    ``since`` and ``until`` bound the movements that were known when it began. Those from ``reading_again_from`` to
    ``until`` are read from the provider again before any order is compared. ``sums`` are those of the movements that
    were compared so far.
    """

    provider: str
    since: Instant
    until: Instant
    started_at: Instant
    saves: int = 0
    reading_again_from: Instant | None = None
    """Where the second reading goes on. None: it is complete."""
    orphans_since: Instant = 0
    """Ended attempts of purchases that changed at this instant or later are looked at again."""
    position: ScanPosition | None = None
    finished_at: Instant | None = None
    purchases: int = 0
    orders: int = 0
    movements: int = 0
    foreign: int = 0
    """Movements of payments of other software, which are left aside."""
    enqueued: int = 0
    """Attempts enqueued: the capture worker goes on with them, or voids what they left authorised."""
    refunds_recorded: int = 0
    disputes_recorded: int = 0
    failed: int = 0
    """Orders that could not be changed now; the next comparison tries again."""
    differences_count: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)
    sums: Sums = field(default_factory=dict)

    def add_difference(self, record: dict[str, Any]) -> None:
        """Count a difference, and list it among the first ones."""
        self.differences_count += 1
        if len(self.differences) < MAX_LISTED_DIFFERENCES:
            self.differences.append(record)


def orphans_since(previous: Comparison | None, now: Instant) -> Instant:
    """Return since when ended attempts are looked at: all that the comparison before cannot have seen.

    A payment may come late to an attempt that has ended, so the periods overlap. Each orphan is seen however long no
    comparison ran, up to :data:`OLDEST_ORPHAN`.
    """
    if previous is None:
        return now - OLDEST_ORPHAN
    since = previous.started_at - LATE_PAYMENT
    if previous.finished_at is None or previous.failed:
        since = min(since, previous.orphans_since)
    return max(now - OLDEST_ORPHAN, since)


@dataclass(frozen=True, slots=True)
class ComparisonStore:
    """The latest comparison of each provider, and what its balance was before the first movement that is stored."""

    dynamodb: DynamoDBClient
    commerce_table: str

    def latest(self, provider: str) -> Comparison | None:
        """Read the latest comparison. One consistent read."""
        record = self._read(provider, _COMPARISON)
        if record is None:
            return None
        known = {name: record[name] for name in Comparison.__slots__ if name in record}
        position = known.get("position")
        return Comparison(**known | {"position": tuple(position) if position else None})

    def save(self, comparison: Comparison) -> bool:
        """Store a comparison over its earlier state. 1 WCU for each KB.

        False: another run has gone on with the same comparison meanwhile, or has begun a later one.
        """
        record = {name: value for name, value in asdict(comparison).items() if value is not None}
        record["saves"] = comparison.saves + 1
        return self._put(
            comparison.provider,
            _COMPARISON,
            record,
            "attribute_not_exists(pk) OR started_at < :started OR (started_at = :started AND saves = :saves)",
            {":saves": comparison.saves, ":started": comparison.started_at},
        )

    def opening(self, provider: str) -> dict[str, int] | None:
        """Read the balance before the first stored movement, by currency. None: it is not known yet."""
        record = self._read(provider, _OPENING)
        return None if record is None else dict(record["balance"])

    def set_opening(self, provider: str, balance: Mapping[str, int]) -> dict[str, int]:
        """Store the balance before the first stored movement, once, and return the one that is stored."""
        self._put(provider, _OPENING, {"balance": dict(balance)}, "attribute_not_exists(pk)", {})
        return self.opening(provider) or dict(balance)

    def _read(self, provider: str, sort_key: str) -> dict[str, Any] | None:
        key = aws.to_item({"pk": f"MOVEMENTS#{provider}", "sk": sort_key})
        answer = self.dynamodb.get_item(TableName=self.commerce_table, Key=key, ConsistentRead=True)
        return aws.from_item(answer["Item"]) if "Item" in answer else None

    def _put(
        self, provider: str, sort_key: str, record: Mapping[str, Any], condition: str, values: Mapping[str, Any]
    ) -> bool:
        request: dict[str, Any] = {
            "TableName": self.commerce_table,
            "Item": aws.to_item({"pk": f"MOVEMENTS#{provider}", "sk": sort_key, **record}),
            "ConditionExpression": condition,
        }
        if values:
            request["ExpressionAttributeValues"] = aws.to_item(values)
        return aws.try_conditional_write(self.dynamodb.put_item, **request)


_COMPARISON: Final = "COMPARISON"
_OPENING: Final = "OPENING"
