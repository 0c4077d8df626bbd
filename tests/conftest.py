"""Fixtures shared by all rooms: the in-process emulator for logic, the embedded engine for anything concurrent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws

from tests.tables import make_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Tables:
    """A DynamoDB client and the names of the template's tables in it."""

    dynamodb: DynamoDBClient
    stock: str
    commerce: str
    sandbox: str


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and region that reach no account."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "000000000001")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture
def moto_aws(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The in-process emulator behind one lock: its conditional writes are not atomic between threads."""
    lock = threading.Lock()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def one_at_a_time(self: BaseClient, *arguments: Any) -> Any:
        with lock:
            return call(self, *arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", one_at_a_time)
    with mock_aws():
        yield


@pytest.fixture
def tables(moto_aws: None) -> Tables:
    """The template's tables, empty, in the in-process emulator."""
    dynamodb = boto3.client("dynamodb")
    names = make_tables(dynamodb, "test-")
    return Tables(dynamodb, names["StockTable"], names["CommerceTable"], names["SandboxTable"])
