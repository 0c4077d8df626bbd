"""Fixtures for all suites: moto for logic, the AWS emulator for everything concurrent.

moto runs in the test process. The emulator is the AWS engine of the local stack, in a process of its own.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from moto import mock_aws
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from infra.local import emulator as aws_emulator
from infra.local.processes import free_port
from infra.local.tables import make_tables
from infra.paths import ROOT
from tests.crashes import crash_report as crashes
from tests.simulation import schedule_search as schedules

pytest_plugins = ("tests.builders.shop",)  # the fixture `shop`, which tests of many rooms use

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Tables:
    """A DynamoDB client, and the names of the template's tables."""

    dynamodb: DynamoDBClient
    stock: str
    commerce: str
    sandbox: str


@pytest.fixture
def without_logs() -> Iterator[None]:
    """Disable logs: a long run writes hundreds of thousands of lines."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set credentials and a region that reach no account."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "000000000001")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture
def moto_aws(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run moto behind one lock: its conditional writes are not atomic between threads."""
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
    """Create the template's tables, empty, in moto."""
    dynamodb = boto3.client("dynamodb")
    names = make_tables(dynamodb, "test-")
    return Tables(dynamodb, names["StockTable"], names["CommerceTable"], names["SandboxTable"])


@dataclass(frozen=True)
class EmulatorAccount:
    """An account of the emulator. Other accounts do not see its tables. Bucket names are global."""

    endpoint: str
    access_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that connect the AWS clients of a process to this account."""
        return aws_emulator.environment(self.endpoint, self.access_key)

    def client(self, service: str, **config: Any) -> Any:
        """Make a new client. ``config`` are arguments of botocore's ``Config``."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=aws_emulator.REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key="local",
            config=Config(**{"parameter_validation": False, "max_pool_connections": 64} | config),
        )

    def tables(self, prefix: str = "test-") -> Tables:
        """Create the template's tables in this account."""
        dynamodb = self.client("dynamodb")
        names = make_tables(dynamodb, prefix)
        return Tables(dynamodb, names["StockTable"], names["CommerceTable"], names["SandboxTable"])


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[aws_emulator.Emulator]:
    """Run one emulator for this test process, on a free port."""
    with aws_emulator.temporary() as running:
        yield running


_accounts = count(100_000_000_001)


@pytest.fixture
def emulator(emulator_process: aws_emulator.Emulator) -> EmulatorAccount:
    """Make an empty account of the emulator, whose conditional writes are atomic."""
    return EmulatorAccount(emulator_process.endpoint, str(next(_accounts)))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the whole local stack on free ports, as ``livedrop run`` does. Yields ``local.json`` and its ``home``.

    All tests in tests/e2e share one stack and stay in one test process.
    """
    home = tmp_path_factory.mktemp("livedrop")
    ports = {"LIVEDROP_HTTP_PORT": str(free_port()), "LIVEDROP_AWS_PORT": str(free_port())}
    variables = os.environ | {"LIVEDROP_HOME": str(home)} | ports
    command = [sys.executable, "-m", "infra.cli.main"]
    try:
        subprocess.run([*command, "run", "--detach", "--owner", str(os.getpid())], check=True, env=variables, cwd=ROOT)
        yield json.loads((home / "local.json").read_text()) | {"home": str(home)}
    finally:
        subprocess.run([*command, "stop"], check=True, env=variables, cwd=ROOT)


class OneProcessForTheStack(LoadScopeScheduling):  # type: ignore[misc]
    """Distributes single tests to processes, and keeps all e2e tests in one, as they share a stack.

    The groups of pytest-xdist 3.8 do not work with pytest 9.2, which ignores the node id that xdist sets.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith("tests/e2e/") else nodeid


def pytest_configure(config: pytest.Config) -> None:
    """Register the summaries of crashes and schedules for the end of a run."""
    for plugin in (crashes, schedules):
        config.pluginmanager.register(plugin)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForTheStack:
    """Distribute tests over several test processes."""
    return OneProcessForTheStack(config, log)
