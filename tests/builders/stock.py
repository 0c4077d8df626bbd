"""A drop with its buckets in the in-process emulator, and shortcuts for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chalicelib.aws import from_item
from chalicelib.stock import HoldRef, OrderRef, Pool, Stock, Summary, Taken, TakeResult, hold_id
from chalicelib.stock.layout import home_of
from tests.conftest import Tables

NOW = 1_800_000_000_000
SECONDS = NOW // 1000
EXPIRES_AT = SECONDS + 300
ORDER = OrderRef("order-abc", 1)
NEXT_EPOCH = OrderRef("order-abc", 2)
OTHER_ORDER = OrderRef("order-xyz", 1)


@dataclass
class StockFixture:
    """A drop ``d`` whose buckets have ``sizes`` units."""

    tables: Tables
    sizes: list[int]
    stock: Stock = field(init=False)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        self.stock = Stock(self.tables.dynamodb, self.tables.stock, self.tables.commerce)
        self.pool = Pool("d", len(self.sizes))
        self.stock.create_buckets("d", self.sizes, NOW)

    def bucket(self, number: int) -> dict[str, Any]:
        """Read the attributes of a bucket, except its key."""
        item = self.tables.dynamodb.get_item(
            TableName=self.tables.stock, Key={"pk": {"S": f"d#{number}"}}, ConsistentRead=True
        )["Item"]
        return {name: value for name, value in from_item(item).items() if name != "pk"}

    def ids(self, home: int) -> Iterator[str]:
        """Generate hold ids whose home is this bucket."""
        names = (hold_id(f"p{n}", "d", 1, 1) for n in count())
        return (name for name in names if home_of(name, self.pool) == home)

    def take(
        self,
        name: str,
        quantity: int = 1,
        *,
        expires_at: int = EXPIRES_AT,
        summary: Summary | None = None,
        now: int = NOW,
    ) -> TakeResult:
        return self.stock.take(self.pool, name, quantity, expires_at, summary, now=now)

    def hold(self, name: str, quantity: int = 1, *, expires_at: int = EXPIRES_AT) -> HoldRef:
        answer = self.take(name, quantity, expires_at=expires_at)
        assert isinstance(answer, Taken)
        return answer.hold

    def summary_with_open(self, *open_buckets: int) -> Summary:
        """Build a summary in which these buckets have units."""
        size = sum(self.sizes)
        return Summary("d", size, len(open_buckets), 0, size - len(open_buckets), open_buckets, None, None, NOW)
