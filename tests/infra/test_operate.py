"""Operators' commands, on queues of the emulator."""

from __future__ import annotations

import re

import boto3
import pytest
from typer.testing import CliRunner

from infra.cli.operate import REDRIVABLE_QUEUES, REMEDIES, app, redrive_messages
from infra.cli.stack import DeployedStack
from infra.local.emulator import REGION
from infra.local.tables import template
from tests.conftest import EmulatorAccount


def redrive(queue: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, ["redrive", queue])
    return outcome.exit_code, " ".join(outcome.output.split())


def test_every_dead_letter_queue_can_be_redriven_or_has_a_remedy() -> None:
    dead = {name.removesuffix("DLQ") for name in template()["Resources"] if name.endswith("DLQ")}
    assert {re.sub(r"\B(?=[A-Z])", "-", name).lower() for name in dead} == {*REDRIVABLE_QUEUES, *REMEDIES}
    help_text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", CliRunner().invoke(app, ["redrive", "--help"]).output).split())
    assert all(f"{queue}: {remedy}." in help_text for queue, remedy in REMEDIES.items())


def test_a_queue_without_work_answers_with_its_remedy() -> None:
    for queue, remedy in REMEDIES.items():
        assert redrive(queue) == (1, f"livedrop: {remedy}")
    assert redrive("nonsense") == (1, "livedrop: The queue must be one of capture, ledger, exports.")


@pytest.mark.emulator
@pytest.mark.parametrize("queue", REDRIVABLE_QUEUES)
def test_redrive_moves_every_dead_letter_once(emulator: EmulatorAccount, queue: str) -> None:
    sqs = emulator.client("sqs")
    names = [f"{one.capitalize()}{kind}Url" for one in REDRIVABLE_QUEUES for kind in ("DLQ", "Queue")]
    queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in names}
    session = boto3.Session(emulator.access_key, "local", region_name=REGION)
    deployed = DeployedStack(session, emulator.endpoint, queues)
    for number in range(12):
        sqs.send_message(QueueUrl=queues[f"{queue.capitalize()}DLQUrl"], MessageBody=str(number))
    assert redrive_messages(deployed, queue) == 12
    assert redrive_messages(deployed, queue) == 0
    counted = {
        name: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        for name, url in queues.items()
    }
    waiting = {name: int(found["ApproximateNumberOfMessages"]) for name, found in counted.items()}
    assert waiting == {name: 12 if name == f"{queue.capitalize()}QueueUrl" else 0 for name in names}
