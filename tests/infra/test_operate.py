"""Operators' commands, on queues of the emulator."""

from __future__ import annotations

import io
import re

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from infra.cli.main import app as livedrop
from infra.cli.main import reason_text
from infra.cli.operate import REDRIVABLE_QUEUES, REMEDIES, app, problem_text, redrive_messages, refused_cues_table
from infra.cli.stack import DeployedStack, new_console
from infra.local.emulator import REGION
from infra.local.local_state import NotRunning
from infra.local.tables import template
from tests.conftest import EmulatorAccount
from tests.infra.packaged_template import packaged_template


def redrive(queue: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(app, ["redrive", queue])
    return outcome.exit_code, " ".join(outcome.output.split())


def test_every_dead_letter_queue_can_be_redriven_or_has_a_remedy() -> None:
    dead = {name.removesuffix("DLQ") for name in template()["Resources"] if name.endswith("DLQ")}
    assert {re.sub(r"\B(?=[A-Z])", "-", name).lower() for name in dead} == {*REDRIVABLE_QUEUES, *REMEDIES}
    help_text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", CliRunner().invoke(app, ["redrive", "--help"]).output).split())
    assert all(f"{queue}: {remedy}" in help_text for queue, remedy in REMEDIES.items())


def test_a_queue_without_work_answers_with_its_remedy() -> None:
    for queue, remedy in REMEDIES.items():
        assert redrive(queue) == (1, f"livedrop: The queue {queue} cannot be redriven: {remedy}")
    assert redrive("nonsense") == (
        1,
        f"livedrop: The queue must be one of {', '.join([*REDRIVABLE_QUEUES, *REMEDIES])}.",
    )


def test_error_of_the_api_is_its_detail() -> None:
    assert problem_text({"code": "not_found", "detail": "There is no drop 'x'."}) == "There is no drop 'x'."
    assert problem_text({"message": "Forbidden"}) == '{"message": "Forbidden"}'


def test_piped_table_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    cue = {name: name * 40 for name in ("time", "type", "subject", "source", "id", "reason")}
    new_console().print(refused_cues_table([cue], None))
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_missing_region_and_credentials_name_the_variables_to_set() -> None:
    assert reason_text(NoRegionError()) == "No AWS region is set. Set AWS_DEFAULT_REGION."
    assert "AWS_PROFILE" in reason_text(NoCredentialsError())
    assert reason_text(NotRunning("No stack runs.")) == "No stack runs."


def test_malformed_parameter_is_reported_before_aws_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    outcome = CliRunner().invoke(livedrop, ["deploy", "--parameter", "Payments"])
    assert (outcome.exit_code, outcome.output) == (1, "livedrop: `--parameter` must be NAME=VALUE, not Payments.\n")


def printed(rendered: Table | str) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(rendered)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_refused_cues_are_a_table_in_the_order_of_the_answer() -> None:
    cue = {"time": "2026-11-23T09:00:00Z", "type": "dev.livedrop.drop.open", "subject": "mug", "source": "/studio"}
    cue |= {"id": "cue-[1]", "reason": "stale_open", "detail": "The cue is too old.", "received_at": "later"}
    assert printed(refused_cues_table([cue, cue | {"id": "cue-2", "reason": "closed"}], None)) == [
        "time                  type                    subject  source   id       reason",
        "2026-11-23T09:00:00Z  dev.livedrop.drop.open  mug      /studio  cue-[1]  stale_open",
        "2026-11-23T09:00:00Z  dev.livedrop.drop.open  mug      /studio  cue-2    closed",
    ]


def test_empty_list_of_refused_cues_is_a_sentence() -> None:
    assert printed(refused_cues_table([], None)) == ["No cue was refused in the last thirty days."]
    assert printed(refused_cues_table([], "mug")) == ["No cue of mug was refused in the last thirty days."]


def test_alarm_of_refused_cues_names_the_command() -> None:
    alarm = packaged_template()["Resources"]["CuesRefusedAlarm"]["Properties"]["AlarmDescription"]
    (command,) = re.findall(r"`livedrop (.+?)`", alarm)
    assert command in {one.name for one in app.registered_commands}


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


def test_subject_that_looks_like_markup_is_printed_as_it_is() -> None:
    sentence = refused_cues_table([], "[/x]")
    assert isinstance(sentence, str)
    assert Text.from_markup(sentence).plain == "No cue of [/x] was refused in the last thirty days."
