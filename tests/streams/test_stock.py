"""The stock stream: the live summary of each changed drop is refreshed once a batch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from chalicelib.shows import Shows
from chalicelib.stock import Pool, hold_id
from chalicelib.streams.stock import refresh_summaries
from chalicelib.telemetry import flush
from tests.builders.shows import MAX_AGE_SECONDS, NOW, ShowFixture, a_drop_request, a_show_request
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient, die_from_call
from tests.fakes.process_died import ProcessDied

EVENT = json.loads((Path(__file__).parent.parent / "events" / "dynamodb_stock.json").read_text())
"""Five records: three of bucket 0 of d1, one of d2, one of the unknown drop d9."""


def place_hold(show_fixture: ShowFixture) -> None:
    show_fixture.stock.take(show_fixture.drop().pool, hold_id("x", "d1", 1, 2), 2, NOW // 1000 + 300, None, now=NOW)


def test_hold_is_in_the_summary_after_its_record(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    show_fixture.shows.put_drop("d2", a_drop_request(), "ann", NOW)
    place_hold(show_fixture)
    before = show_fixture.stock.summary("d1")
    refresh_summaries(EVENT, show_fixture.shows, show_fixture.stock, lambda: NOW)
    after = show_fixture.stock.summary("d1")
    assert before is not None
    assert after is not None
    assert (before.held, after.held, after.available) == (0, 2, 1)


def test_drop_is_refreshed_once_a_batch_and_unknown_drops_are_skipped(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    place_hold(show_fixture)
    calls: Counter[str] = Counter()

    def note(number: int, operation: str) -> None:
        calls[operation] += 1

    counting = ShowFixture(tables, HookedClient(tables.dynamodb, before=note))
    refresh_summaries(EVENT, counting.shows, counting.stock, lambda: NOW)
    assert calls == {"batch_get_item": 3, "put_item": 1}
    assert show_fixture.stock.summary("d9") is None


def test_budget_gets_a_summary_without_a_read_of_its_record(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    pool = Pool("offer:TEN:uses:2", 2)
    show_fixture.stock.create_buckets(pool.pool_id, [24, 6], NOW)
    show_fixture.stock.take(pool, hold_id("x", pool.pool_id, 1, 1), 1, NOW // 1000 + 300, None, now=NOW)
    records = [{"dynamodb": {"Keys": {"pk": {"S": f"{pool.pool_id}#{number}"}}}} for number in (0, 1)]
    refresh_summaries({"Records": records}, show_fixture.shows, show_fixture.stock, lambda: NOW)
    after = show_fixture.stock.summary(pool.pool_id)
    assert after is not None
    assert (after.available, after.held, after.size) == (29, 1, 30)


def test_buckets_of_a_draft_are_skipped(tables: Tables) -> None:
    show_fixture = ShowFixture(tables)
    show_fixture.shows.put_show("s1", a_show_request(), "ann", NOW)
    doomed = ShowFixture(tables, HookedClient(tables.dynamodb, before=die_from_call(at=5)))
    with pytest.raises(ProcessDied):
        doomed.shows.put_drop("d1", a_drop_request(), "ann", NOW)
    before = show_fixture.all_items()
    refresh_summaries(EVENT, show_fixture.shows, show_fixture.stock, lambda: NOW)
    assert show_fixture.all_items() == before


def test_fault_fails_the_batch(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    place_hold(show_fixture)

    def fails(number: int, operation: str) -> None:
        error = {"Error": {"Code": "InternalServerError", "Message": ""}}
        raise ClientError(error, operation)  # type: ignore[arg-type]

    faulty = ShowFixture(tables, HookedClient(tables.dynamodb, before=fails))
    shows = Shows(tables.dynamodb, tables.commerce, faulty.stock, MAX_AGE_SECONDS)
    with pytest.raises(ClientError):
        refresh_summaries(EVENT, shows, faulty.stock, lambda: NOW)


def test_wait_of_a_change_for_its_summary_is_measured(tables: Tables, capsys: pytest.CaptureFixture[str]) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    changed_at = min(record["dynamodb"]["ApproximateCreationDateTime"] for record in EVENT["Records"])
    flush()
    capsys.readouterr()
    times = iter((changed_at * 1_000 + 700, changed_at * 1_000 + 950))
    refresh_summaries(EVENT, show_fixture.shows, show_fixture.stock, lambda: next(times))
    flush()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "summary_age" in line and "_aws" in line]
    assert json.loads(line)["summary_age"] == [950.0]
