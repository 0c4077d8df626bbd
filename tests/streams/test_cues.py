"""The cue stream: cues are applied in order, unreadable records are parked, and a transient fault fails the batch."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import Unavailable
from chalicelib.shows import DropState
from chalicelib.streams.cues import apply_cues
from chalicelib.streams.messaging import Queue
from tests.builders.shows import NOW, ShowFixture
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


EVENT = json.loads((Path(__file__).parent.parent / "events" / "kinesis_cues.json").read_text())
"""Eight records: a show starts, text, d1 opens, d9 opens, a wrong extension, stock for d1, bytes, d1 opens again."""


@pytest.fixture
def parked(tables: Tables) -> Queue:
    """The empty queue of parked cues."""
    sqs: SQSClient = boto3.client("sqs")
    return Queue(sqs, sqs.create_queue(QueueName="parked")["QueueUrl"])


def parked_messages(queue: Queue) -> list[dict[str, Any]]:
    answer = queue.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def a_kinesis_batch(*texts: str) -> dict[str, Any]:
    return {"Records": [{"kinesis": {"data": b64encode(text.encode()).decode()}} for text in texts]}


def test_readable_records_of_a_batch_are_applied(tables: Tables, parked: Queue) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    apply_cues(EVENT, show_fixture.shows, parked, NOW)
    seen = show_fixture.live_drop()
    assert (seen.state, seen.opens_at, seen.closes_at, seen.size) == (DropState.OPEN, NOW, NOW + 300_000, 7)
    assert [refused.id for refused in show_fixture.shows.refused_cues(None)] == ["k3"]
    live = show_fixture.shows.live("s1", NOW)
    assert live is not None
    assert live.show.started_at == NOW


def test_unreadable_record_is_parked_with_its_reason(tables: Tables, parked: Queue) -> None:
    apply_cues(EVENT, ShowFixture(tables).with_drop().shows, parked, NOW)
    found = {message["sequence_number"][-1]: message for message in parked_messages(parked)}
    assert {number: (message["reason"], message["field"]) for number, message in found.items()} == {
        "1": ("`$` must be JSON.", "$"),
        "4": (
            "`$.data.closes_at` must be an RFC 3339 date-time with an offset, such as 2026-11-27T19:00:00Z.",
            "$.data.closes_at",
        ),
        "6": ("`$` must be base64 of UTF-8 text.", "$"),
    }
    assert found["1"]["data"] == EVENT["Records"][1]["kinesis"]["data"]
    assert (found["1"]["cut"], found["1"]["partition_key"]) == (False, "s1")


def test_redelivered_batch_changes_nothing(tables: Tables, parked: Queue) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    apply_cues(EVENT, show_fixture.shows, parked, NOW)
    before = show_fixture.all_items()
    apply_cues(EVENT, show_fixture.shows, parked, NOW)
    assert show_fixture.all_items() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        "1" * 5_000,
        '{"specversion": "1.0", "id": "\\ud800"}',
        '{"specversion": NaN}',
    ],
)
def test_no_content_of_a_record_stops_the_batch(tables: Tables, parked: Queue, text: str) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    before = show_fixture.all_items()
    apply_cues(a_kinesis_batch(text), show_fixture.shows, parked, NOW)
    assert len(parked_messages(parked)) == 1
    assert show_fixture.all_items() == before


def test_huge_record_is_parked_in_part(tables: Tables, parked: Queue) -> None:
    apply_cues(a_kinesis_batch("x" * 900_000), ShowFixture(tables).with_drop().shows, parked, NOW)
    (message,) = parked_messages(parked)
    assert (len(message["data"]), message["cut"]) == (100_000, True)


def test_record_with_a_long_name_is_parked_with_a_short_reason(tables: Tables, parked: Queue) -> None:
    names = ["x" * 500_000, "é" * 250_000, "\x00" * 80_000]
    apply_cues(
        a_kinesis_batch(*(json.dumps({name: 1}) for name in names)), ShowFixture(tables).with_drop().shows, parked, NOW
    )
    found = parked_messages(parked)
    assert len(found) == 3
    for message in found:
        assert message["field"] in {("$." + name)[:200] for name in names}
        assert message["reason"] == f"`{message['field']}` is no attribute of a CloudEvent with JSON data. Remove it."


def test_batch_of_huge_records_is_parked_in_several_calls(tables: Tables, parked: Queue) -> None:
    batches: list[int] = []
    send = parked.sqs.send_message_batch

    class Measuring:
        def send_message_batch(self, **call: Any) -> Any:
            batches.append(sum(len(entry["MessageBody"].encode()) for entry in call["Entries"]))
            return send(**call)

    queue = Queue(Measuring(), parked.url)  # type: ignore[arg-type]
    apply_cues(
        a_kinesis_batch(*[f"{number}" + "x" * 900_000 for number in range(7)]),
        ShowFixture(tables).with_drop().shows,
        queue,
        NOW,
    )
    assert [message["data"][:4] for message in parked_messages(parked)] == [
        b64encode(f"{number}xx".encode()).decode() for number in range(7)
    ]
    assert len(batches) == 4
    assert max(batches) <= 256 * 1024


def test_transient_fault_fails_the_whole_batch_and_parks_nothing(tables: Tables, parked: Queue) -> None:
    show_fixture = ShowFixture(tables).with_drop()

    def fails_late(number: int, operation: str) -> None:
        if number > 4:
            error = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}
            raise ClientError(error, operation)  # type: ignore[arg-type]

    faulty = ShowFixture(tables, HookedClient(tables.dynamodb, before=fails_late))
    with pytest.raises(Unavailable):
        apply_cues(EVENT, faulty.shows, parked, NOW)
    assert parked_messages(parked) == []
    assert show_fixture.live_drop().state is DropState.OPEN
    apply_cues(EVENT, show_fixture.shows, parked, NOW)
    assert len(parked_messages(parked)) == 3
    assert show_fixture.live_drop().size == 7
