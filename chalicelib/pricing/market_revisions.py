"""The shop's table of markets as it is stored: every revision, with its author and time. The newest one applies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from chalicelib import aws
from chalicelib.cache import SingleFlightCache
from chalicelib.instants import Instant
from chalicelib.pricing.markets import Markets
from chalicelib.revisions import WRITE_TRIES, write_conflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PK: Final = "SHOP#MARKETS"


class MarketsRevision(BaseModel):
    """One revision of the table of markets. ``number`` is 0 for the product's own table, which nobody put."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: int = 0
    put_by: str | None = None
    put_at: Instant | None = None
    markets: Markets


class MarketRevisions:
    """Stores revisions of the table of markets. Made once a process; safe between threads.

    Revisions are only added, so that they are their own audit trail.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, default: Markets) -> None:
        self._dynamodb = dynamodb
        self._commerce_table = commerce_table
        self._default = MarketsRevision(markets=default)
        self._cache: SingleFlightCache[MarketsRevision] = SingleFlightCache(1)

    def current(self, now: Instant) -> Markets:
        """Return the markets that apply, at most one second old.

        Costs one query a second in a process (0.5 RCU for each 4 KB of the table).
        """
        revision = self._cache.get(_PK, now, lambda: self._read_newest(1, strong=False)[0])
        return (revision or self._default).markets

    def put(self, markets: Markets, actor: str, now: Instant) -> tuple[MarketsRevision, bool]:
        """Store a table as the next revision. Return it, and whether it is new: an equal table adds none.

        Costs one strong read and one write.

        Raises: ``BadInput`` for a table that contradicts itself; ``WriteConflict``.
        """
        markets.check()
        for _ in range(WRITE_TRIES):
            newest = self._read_newest(1, strong=True)[0]
            if newest.number and newest.markets == markets:
                return newest, False
            revision = MarketsRevision(number=newest.number + 1, put_by=actor, put_at=now, markets=markets)
            if self._add(revision):
                self._cache.invalidate(_PK)
                return revision, True
        raise write_conflict("the markets")

    def newest(self, limit: int) -> list[MarketsRevision]:
        """Read the newest revisions, newest first, by a strong query."""
        return self._read_newest(limit, strong=True)

    def _read_newest(self, limit: int, *, strong: bool) -> list[MarketsRevision]:
        page = self._dynamodb.query(
            TableName=self._commerce_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": _PK}},
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=strong,
        )
        return [_to_revision(item) for item in page["Items"]] or [self._default]

    def _add(self, revision: MarketsRevision) -> bool:
        record = {
            "pk": _PK,
            "sk": f"{revision.number:010d}",
            "number": revision.number,
            "by": revision.put_by,
            "at": revision.put_at,
            "table": revision.markets.model_dump_json(),
        }
        return aws.try_conditional_write(
            self._dynamodb.put_item,
            TableName=self._commerce_table,
            Item=aws.to_item(record),
            ConditionExpression="attribute_not_exists(pk)",
        )


def _to_revision(item: aws.Item) -> MarketsRevision:
    record = aws.from_item(item)
    markets = Markets.model_validate_json(record["table"])
    return MarketsRevision(number=record["number"], put_by=record["by"], put_at=record["at"], markets=markets)
