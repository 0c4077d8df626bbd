"""Export runs: asked for once, carried out by a worker, looked up by day."""

from __future__ import annotations

import json
from datetime import date

import pytest

from chalicelib.errors import BadInput, Conflict
from chalicelib.finance import ExportRun, RunState, entries_of, parse_day
from chalicelib.finance.store import ExportQueue
from chalicelib.instants import HOUR, MINUTE, parse_rfc3339
from tests.finance.builders import PAID_AT, TIME_ZONE, a_paid_order, at, keep
from tests.finance.conftest import Office

FRIDAY = date(2026, 11, 27)
NOW = PAID_AT + HOUR
ON_SATURDAY = PAID_AT + 8 * HOUR


def asked(office: Office, key: str = "k1", show_id: str | None = None, *, close: bool = False) -> ExportRun:
    now = ON_SATURDAY if close else NOW
    return office.exports.request_export(FRIDAY, show_id, key, "finance@jwt", now, close=close)


def test_a_request_is_recorded_and_enqueued(office: Office) -> None:
    run = asked(office, show_id="tonight")
    assert (run.state, run.show_id, run.close) == (RunState.REQUESTED, "tonight", False)
    assert [json.loads(body) for body in office.messages()] == [{"date": "2026-11-27", "run_id": run.id}]
    assert office.exports.runs_of_day(FRIDAY) == [run]


def test_the_same_key_asks_for_one_run_and_enqueues_it_again_while_it_is_not_done(office: Office) -> None:
    first = asked(office)
    assert asked(office) == first
    assert len(office.messages()) == 2
    done = office.exports.run_export(first.date, first.id, at(NOW))
    assert asked(office) == done
    assert office.messages() == []
    assert office.exports.runs_of_day(FRIDAY) == [done]


def test_a_key_cannot_be_used_for_another_export(office: Office) -> None:
    asked(office)
    with pytest.raises(Conflict) as refusal:
        asked(office, show_id="tonight")
    assert refusal.value.code == "idempotency_conflict"
    with pytest.raises(Conflict):
        office.exports.request_export(date(2026, 11, 26), None, "k1", "finance@jwt", NOW)
    assert len(office.messages()) == 1


def test_two_people_may_use_the_same_key(office: Office) -> None:
    other = office.exports.request_export(FRIDAY, "tonight", "k1", "other@jwt", NOW)
    assert asked(office).id != other.id


def test_a_done_run_names_its_manifest_and_what_is_in_it(office: Office) -> None:
    keep(office.purchases, a_paid_order())
    run = office.exports.run_export("2026-11-27", asked(office).id, at(NOW))
    assert run is not None
    assert (run.state, run.orders, run.entries, run.differences) == (RunState.DONE, 1, 3, 0)
    assert run.manifest_key == f"exports/date=2026-11-27/interim/show=all/run={run.id}/manifest.json"
    manifest = office.exports.manifest_of(run)
    assert manifest is not None
    assert manifest["units"] == {"sold": 2, "refunded": 0}
    assert office.exports.run_export(run.date, run.id, at(NOW + 1)) == run


def test_a_run_says_when_it_really_began_and_finished(office: Office) -> None:
    run = asked(office)
    done = office.exports.run_export(run.date, run.id, at(NOW + MINUTE, NOW + 3 * MINUTE))
    assert done is not None
    assert (done.requested_at, done.started_at, done.finished_at) == (NOW, NOW + MINUTE, NOW + 3 * MINUTE)
    assert office.exports.runs_of_day(FRIDAY) == [done]


def test_a_day_is_closed_by_request(office: Office) -> None:
    office.ledger.post_entries(entries_of(a_paid_order(), TIME_ZONE))
    keep(office.purchases, a_paid_order())
    run = office.exports.run_export("2026-11-27", asked(office, close=True).id, at(ON_SATURDAY))
    assert run is not None
    assert run.manifest_key == "exports/date=2026-11-27/revision=1/manifest.json"


def test_a_day_that_is_not_over_or_one_show_of_it_cannot_be_closed(office: Office) -> None:
    with pytest.raises(Conflict) as refusal:
        office.exports.request_export(FRIDAY, None, "k1", "finance@jwt", NOW, close=True)
    assert (refusal.value.code, refusal.value.field) == ("day_not_over", "$.date")
    with pytest.raises(BadInput) as bad:
        office.exports.request_export(FRIDAY, "tonight", "k1", "finance@jwt", ON_SATURDAY, close=True)
    assert bad.value.field == "$.show_id"
    assert (office.exports.runs_of_day(FRIDAY), office.messages()) == ([], [])


def test_a_day_that_has_not_begun_in_the_shop_cannot_be_exported(office: Office) -> None:
    half_past_midnight_in_london = parse_rfc3339("2026-07-01T23:30:00Z")
    for close in (False, True):
        with pytest.raises(Conflict) as refusal:
            office.exports.request_export(date(2026, 7, 3), None, "k", "ada", half_past_midnight_in_london, close=close)
        assert (refusal.value.code, refusal.value.field) == ("day_not_begun", "$.date")
    assert (office.exports.runs_of_day(date(2026, 7, 3)), office.messages()) == ([], [])
    today = office.exports.request_export(date(2026, 7, 2), None, "k", "ada", half_past_midnight_in_london)
    assert office.exports.runs_of_day(date(2026, 7, 2)) == [today]


@pytest.mark.parametrize("text", ["", "27.11.2026", "2026-02-30", "20261127", "2026-11-27T00:00:00Z", "2026-W48-5"])
def test_a_date_is_a_calendar_day(text: str) -> None:
    with pytest.raises(BadInput) as bad:
        parse_day(text)
    assert bad.value.field == "date"


def test_a_run_that_failed_says_why_and_can_be_carried_out_again(office: Office) -> None:
    run = asked(office, close=True)
    with pytest.raises(Conflict):
        office.exports.run_export(run.date, run.id, at(PAID_AT))
    (failed,) = office.exports.runs_of_day(FRIDAY)
    assert (failed.state, failed.error) == (RunState.FAILED, "day_not_over")
    done = office.exports.run_export(run.date, run.id, at(ON_SATURDAY))
    assert done is not None
    assert (done.state, done.error) == (RunState.DONE, None)


def test_a_run_whose_worker_died_is_carried_out_by_the_next(office: Office) -> None:
    run = asked(office)
    running = run.model_copy(update={"state": RunState.RUNNING, "started_at": NOW})
    assert office.exports.runs.update(running.model_dump(), "requested")
    done = office.exports.run_export(run.date, run.id, at(NOW))
    assert done is not None
    assert done.state is RunState.DONE


def test_a_run_nobody_asked_for_is_none(office: Office) -> None:
    assert office.exports.run_export("2026-11-27", "ghost", at(NOW)) is None


def test_a_lost_message_is_made_up_for_by_the_same_request(office: Office) -> None:
    class Broken:
        def send_message(self, **_: str) -> None:
            raise ConnectionError

    queue = office.exports.queue
    broken = type(office.exports)(office.exports.runs, ExportQueue(Broken(), queue.url), office.day_closer)  # type: ignore[arg-type]
    with pytest.raises(ConnectionError):
        broken.request_export(FRIDAY, None, "k1", "finance@jwt", NOW)
    run = asked(office)
    assert [json.loads(body)["run_id"] for body in office.messages()] == [run.id]


def test_the_schedule_closes_what_is_due_and_a_repeat_nothing(office: Office) -> None:
    keep(office.purchases, a_paid_order())
    (run,) = office.exports.close_due_days(at(ON_SATURDAY))
    assert (run.date, run.state, run.requested_by, run.orders) == ("2026-11-27", RunState.DONE, "schedule", 1)
    assert office.exports.close_due_days(at(ON_SATURDAY)) == []
    assert office.exports.runs_of_day(FRIDAY) == [run]
