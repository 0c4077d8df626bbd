"""Builders of shows: valid requests, cues and records, and a fixture with one show over the emulator's tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chalicelib.aws import from_item
from chalicelib.instants import SECOND, Instant, rfc3339
from chalicelib.shows import Cue, CueType, Drop, LiveDrop, PutDropRequest, PutShowRequest, Shows
from chalicelib.shows.records import DropRecord
from chalicelib.stock import Stock
from tests.conftest import Tables

NOW: Instant = 1_800_000_000_000
MAX_AGE_SECONDS = 30
_numbers = count(1)


def a_show_request(**changes: Any) -> PutShowRequest:
    """Return the body of a show."""
    return PutShowRequest.from_body({"title": "Friday live", "currency": "GBP", "starts_at": rfc3339(NOW)} | changes)


def a_drop_request(**changes: Any) -> PutDropRequest:
    """Return the body of a drop of three units that waits for its cue."""
    body = {
        "show_id": "s1",
        "sku": "LAMP-1",
        "title": "Lamp",
        "unit_price": {"amount": 5_000, "currency": "GBP"},
        "stock": 3,
    }
    return PutDropRequest.from_body(body | changes)


def a_cue(kind: CueType, at: Instant = NOW, **changes: Any) -> Cue:
    """Return a cue of an instant, with a new id."""
    return Cue.model_validate(
        {"source": "/encoder", "id": f"cue-{next(_numbers)}", "type": kind, "subject": "d1", "time": at} | changes
    )


def a_drop_record(**changes: Any) -> DropRecord:
    """Return a drop's record, created an hour before the show."""
    created = NOW - 3_600 * SECOND
    standard = {
        "id": "d1",
        "show_id": "s1",
        "sku": "LAMP-1",
        "title": "Lamp",
        "unit_price": 5_000,
        "currency": "GBP",
        "stock": 3,
        "first_stock": 3,
        "bucket_count": 1,
        "created_by": "ann",
        "created_at": created,
        "changed_by": "ann",
        "changed_at": created,
    }
    return DropRecord.model_validate(standard | changes)


@dataclass
class ShowFixture:
    """One process with its own caches. ``client`` replaces the tables' client."""

    tables: Tables
    client: Any = None
    shows: Shows = field(init=False)
    stock: Stock = field(init=False)

    def __post_init__(self) -> None:
        client = self.client or self.tables.dynamodb
        self.stock = Stock(client, self.tables.stock, self.tables.commerce)
        self.shows = Shows(client, self.tables.commerce, self.stock, MAX_AGE_SECONDS)

    def with_drop(self, **changes: Any) -> ShowFixture:
        """Put the show ``s1`` with the drop ``d1``."""
        self.shows.put_show("s1", a_show_request(), "ann", NOW)
        self.shows.put_drop("d1", a_drop_request(**changes), "ann", NOW)
        return self

    def drop(self) -> Drop:
        """Read the drop ``d1``."""
        drop = self.shows.drop("d1")
        assert drop is not None
        return drop

    def live_drop(self, now: Instant = NOW) -> LiveDrop:
        """Return the drop ``d1`` in a live view without caches."""
        live = ShowFixture(self.tables).shows.live("s1", now)
        assert live is not None
        (drop,) = live.drops
        return drop

    def items_of(self, pk: str) -> list[dict[str, Any]]:
        """Return every item of a partition of the commerce table, in order."""
        answer = self.tables.dynamodb.query(
            TableName=self.tables.commerce,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
        )
        return [from_item(item) for item in answer["Items"]]

    def all_items(self) -> list[dict[str, Any]]:
        """Return every item of both tables."""
        tables = (self.tables.commerce, self.tables.stock)
        return [from_item(item) for table in tables for item in self.tables.dynamodb.scan(TableName=table)["Items"]]
