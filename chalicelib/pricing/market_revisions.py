"""The shop's table of markets as it is kept: every revision, with who put it and when; the newest one holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from chalicelib import aws
from chalicelib.cache import SingleFlightCache
from chalicelib.errors import WriteConflict
from chalicelib.instants import Instant
from chalicelib.pricing.markets import Markets

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PK: Final = "SHOP#MARKETS"
_TRIES: Final = 5


class MarketsRevision(BaseModel):
    """A table of markets that somebody put. ``number`` 0: nobody did, the product's own holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: int = 0
    put_by: str | None = None
    put_at: Instant | None = None
    markets: Markets


class MarketRevisions:
    """Made once a process; safe between threads. Revisions are only added, so they are their own audit."""

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, default: Markets) -> None:
        self._dynamodb = dynamodb
        self._commerce_table = commerce_table
        self._default = MarketsRevision(markets=default)
        self._cache: SingleFlightCache[MarketsRevision] = SingleFlightCache(1)

    def current(self, now: Instant) -> Markets:
        """The table that holds, at most a second old: one query a second a process (0.5 RCU for each 4 KB of it)."""

        def read() -> MarketsRevision:
            return self._newest(1, strong=False)[0]

        revision = self._cache.get(_PK, now, read)
        return (revision or self._default).markets

    def put(self, markets: Markets, actor: str, now: Instant) -> tuple[MarketsRevision, bool]:
        """Let a table hold from now on: a new revision, or the newest one again where it says the same.

        One strong read and one write, conditional on nobody having put the same revision. ``BadInput`` for a table
        that contradicts itself.
        """
        markets.check()
        for _ in range(_TRIES):
            newest = self._newest(1, strong=True)[0]
            if newest.number and newest.markets == markets:
                return newest, False
            revision = MarketsRevision(number=newest.number + 1, put_by=actor, put_at=now, markets=markets)
            if self._add(revision):
                self._cache.invalidate(_PK)
                return revision, True
        raise WriteConflict("The markets are being changed by others; repeat the request.")

    def newest(self, limit: int) -> list[MarketsRevision]:
        """The newest revisions, the one that holds first, by a strong query."""
        return self._newest(limit, strong=True)

    def _newest(self, limit: int, *, strong: bool) -> list[MarketsRevision]:
        found = self._dynamodb.query(
            TableName=self._commerce_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": _PK}},
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=strong,
        )
        read = [aws.from_item(item) for item in found["Items"]]
        return [
            MarketsRevision(number=one["number"], put_by=one["by"], put_at=one["at"], markets=_from_json(one["table"]))
            for one in read
        ] or [self._default]

    def _add(self, revision: MarketsRevision) -> bool:
        record = {"pk": _PK, "sk": f"{revision.number:010d}", "number": revision.number}
        record |= {"by": revision.put_by, "at": revision.put_at, "table": revision.markets.model_dump_json()}
        return aws.try_conditional_write(
            self._dynamodb.put_item,
            TableName=self._commerce_table,
            Item=aws.to_item(record),
            ConditionExpression="attribute_not_exists(pk)",
        )


def _from_json(text: str) -> Markets:
    return Markets.model_validate_json(text)
