"""A bucket, an exports queue, and the finance package over them, in the in-process emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest

from chalicelib.finance import DayCloser, Exporter, Exports, LedgerStore
from chalicelib.finance.store import ExportQueue, ExportRunStore, ObjectStore
from chalicelib.purchase import PurchaseStore
from tests.builders.paid_orders import TIME_ZONE
from tests.conftest import Tables

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

BUCKET = "finance-test"


@dataclass(frozen=True)
class FinanceFixture:
    """The finance package with its bucket, tables and queue."""

    tables: Tables
    s3: S3Client
    sqs: SQSClient
    queue_url: str
    purchases: PurchaseStore
    ledger: LedgerStore
    exporter: Exporter
    closer: DayCloser
    exports: Exports

    def keys(self, prefix: str = "") -> list[str]:
        return self.exporter.object_store.list_keys(prefix)

    def contents(self, prefix: str) -> dict[str, bytes]:
        return {key: self.exporter.object_store.read(key) or b"" for key in self.keys(prefix)}

    def messages(self) -> list[str]:
        answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
        return [message.get("Body", "") for message in answer.get("Messages", [])]


def build_finance_fixture(
    tables: Tables, s3: S3Client, sqs: SQSClient, queue_url: str, bucket: str = BUCKET
) -> FinanceFixture:
    purchases = PurchaseStore(tables.dynamodb, tables.commerce)
    ledger = LedgerStore(ObjectStore(s3, bucket))
    exporter = Exporter(ledger, purchases, TIME_ZONE)
    day_closer = DayCloser(exporter)
    exports = Exports(ExportRunStore(tables.dynamodb, tables.commerce), ExportQueue(sqs, queue_url), day_closer)
    return FinanceFixture(tables, s3, sqs, queue_url, purchases, ledger, exporter, day_closer, exports)


@pytest.fixture
def finance(tables: Tables) -> FinanceFixture:
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    queue_url = sqs.create_queue(QueueName="exports")["QueueUrl"]
    return build_finance_fixture(tables, s3, sqs, queue_url)
