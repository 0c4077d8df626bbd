"""The emulator as tests use it."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from infra.local import emulator as aws_emulator
from infra.local.processes import children
from tests.conftest import EmulatorAccount


@pytest.mark.emulator
def test_conditional_write_has_one_winner_among_rivals(emulator: EmulatorAccount) -> None:
    tables = emulator.tables()

    def put(rival: int) -> str:
        try:
            emulator.client("dynamodb").put_item(
                TableName=tables.stock,
                Item={"pk": {"S": "d#0"}, "winner": {"N": str(rival)}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as refusal:
            return refusal.response["Error"]["Code"]
        return "won"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(put, range(32)))
    assert outcomes == ["ConditionalCheckFailedException"] * 31 + ["won"]


@pytest.mark.emulator
def test_every_test_has_an_account_of_its_own(emulator: EmulatorAccount) -> None:
    assert emulator.client("dynamodb").list_tables()["TableNames"] == []
    emulator.tables()
    assert len(emulator.client("dynamodb").list_tables()["TableNames"]) == 3


@pytest.mark.emulator
def test_emulator_stops_with_every_process_it_started() -> None:
    with aws_emulator.temporary() as running:
        account = EmulatorAccount(running.endpoint, "100000000001")
        worker = psutil.Process(_invoked(account.client("lambda")))
        home, family = running.log.parent, children(running.pid)
        assert worker in family
    assert [process for process in family if process.is_running()] == []
    assert not psutil.pid_exists(running.pid)
    assert not home.exists()


def _invoked(functions: Any) -> int:
    """Create and invoke a function. Returns the id of its process, which then waits for the next call."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "import os\n\ndef handler(event, context):\n    return os.getpid()\n")
    functions.create_function(
        FunctionName="who",
        Runtime="python3.11",
        Handler="index.handler",
        Role="arn:aws:iam::100000000001:role/who",
        Code={"ZipFile": code.getvalue()},
    )
    return int(functions.invoke(FunctionName="who")["Payload"].read())
