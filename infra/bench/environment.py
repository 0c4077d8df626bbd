"""The environment of a benchmark: an emulator with the template's tables, and the product's rooms on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import boto3

from chalicelib.aws import client
from chalicelib.instants import DAY, Instant, rfc3339
from chalicelib.shows import PutDropRequest, PutShowRequest, Shows
from chalicelib.stock import Pool, Stock
from infra.local import emulator as aws_emulator
from infra.local.tables import make_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STOCK: Final = "bench-StockTable"
COMMERCE: Final = "bench-CommerceTable"
_SHOW: Final = "bench"
_CUE_MAX_AGE_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class BenchEnvironment:
    """One process of the product: a client, and the rooms that a take needs, with their caches."""

    dynamodb: DynamoDBClient
    stock: Stock
    shows: Shows

    @classmethod
    def of(cls, dynamodb: DynamoDBClient) -> Self:
        """Build the rooms on a client."""
        stock = Stock(dynamodb, STOCK, COMMERCE)
        return cls(dynamodb, stock, Shows(dynamodb, COMMERCE, stock, _CUE_MAX_AGE_SECONDS))

    def put_drop(self, drop_id: str, units: int, now: Instant) -> Pool:
        """Put an open drop, with its buckets as the product creates them."""
        self.shows.put_show(_SHOW, _show_request(now), "bench", now)
        request = {"show_id": _SHOW, "sku": "MUG", "title": "Mug", "stock": units, "opens_at": rfc3339(now - 1_000)}
        price = {"unit_price": {"amount": 1200, "currency": "GBP"}}
        drop, _ = self.shows.put_drop(drop_id, PutDropRequest.from_body(request | price), "bench", now)
        return drop.pool


@dataclass(frozen=True, slots=True)
class RunningEmulator:
    """A running emulator, and the variables that point a process at it."""

    emulator: aws_emulator.Emulator
    variables: dict[str, str]


@contextmanager
def running_emulator() -> Iterator[RunningEmulator]:
    """Run an emulator with the template's tables, and point this process's AWS clients at it."""
    with aws_emulator.temporary() as emulator:
        variables = aws_emulator.environment(emulator.endpoint)
        os.environ.update(variables)
        make_tables(client("dynamodb"), "bench-")
        yield RunningEmulator(emulator, variables)


def another_client() -> DynamoDBClient:
    """Make a separate client with the product's configuration."""
    return boto3.client("dynamodb", config=client("dynamodb").meta.config)


def _show_request(now: Instant) -> PutShowRequest:
    starts_at = rfc3339(now // DAY * DAY)
    return PutShowRequest.from_body({"title": "Benchmark", "currency": "GBP", "starts_at": starts_at})
