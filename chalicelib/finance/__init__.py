"""Finance: the ledger of orders in money and units, closed by day, exported and compared with the orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.finance.close import DayCloser
from chalicelib.finance.entries import entries_of
from chalicelib.finance.export import Exporter
from chalicelib.finance.export_runs import ExportRun, Exports, RunState, parse_day
from chalicelib.finance.ledger import LedgerStore
from chalicelib.finance.ledger_entry import EntryType, LedgerEntry
from chalicelib.finance.movement_entries import movement_entry
from chalicelib.finance.store import ExportQueue, ExportRunStore, ObjectStore
from chalicelib.purchase import PurchaseStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

__all__ = [
    "DayCloser",
    "EntryType",
    "ExportRun",
    "Exporter",
    "Exports",
    "LedgerEntry",
    "LedgerStore",
    "RunState",
    "entries_of",
    "movement_entry",
    "open_exports",
    "open_ledger",
    "parse_day",
]


def open_ledger(s3: S3Client, bucket: str) -> LedgerStore:
    """Open the ledger in a bucket."""
    return LedgerStore(ObjectStore(s3, bucket))


def open_exports(
    *,
    s3: S3Client,
    bucket: str,
    dynamodb: DynamoDBClient,
    commerce_table: str,
    sqs: SQSClient,
    queue_url: str,
    time_zone: str,
) -> Exports:
    """Open the exports of a table's orders to a bucket. The worker of the queue makes their files."""
    exporter = Exporter(open_ledger(s3, bucket), PurchaseStore(dynamodb, commerce_table), time_zone)
    return Exports(ExportRunStore(dynamodb, commerce_table), ExportQueue(sqs, queue_url), DayCloser(exporter))
