"""Export runs: requested once, finished by a worker, listed by day."""

from __future__ import annotations

import json
from datetime import date

import pytest

from chalicelib.errors import BadInput, Conflict
from chalicelib.finance import ExportRun, RunState, entries_of, parse_day
from chalicelib.finance.store import ExportQueue
from chalicelib.instants import HOUR, MINUTE, parse_rfc3339
from tests.builders.paid_orders import PAID_AT, TIME_ZONE, a_paid_order, clock_showing, store_purchases
from tests.finance.conftest import FinanceFixture

FRIDAY = date(2026, 11, 27)
NOW = PAID_AT + HOUR
ON_SATURDAY = PAID_AT + 8 * HOUR


def request_export(
    finance: FinanceFixture, key: str = "k1", show_id: str | None = None, *, close: bool = False
) -> ExportRun:
    now = ON_SATURDAY if close else NOW
    return finance.exports.request_export(FRIDAY, show_id, key, "finance@jwt", now, close=close)


def test_request_is_stored_and_enqueued(finance: FinanceFixture) -> None:
    run = request_export(finance, show_id="tonight")
    assert (run.state, run.show_id, run.close) == (RunState.REQUESTED, "tonight", False)
    assert [json.loads(body) for body in finance.messages()] == [{"date": "2026-11-27", "run_id": run.id}]
    assert finance.exports.runs_of_day(FRIDAY) == [run]


def test_repeated_key_enqueues_the_same_run_until_it_is_done(finance: FinanceFixture) -> None:
    first = request_export(finance)
    assert request_export(finance) == first
    assert len(finance.messages()) == 2
    done = finance.exports.run_export(first.date, first.id, clock_showing(NOW))
    assert request_export(finance) == done
    assert finance.messages() == []
    assert finance.exports.runs_of_day(FRIDAY) == [done]


def test_key_of_another_export_is_refused(finance: FinanceFixture) -> None:
    request_export(finance)
    with pytest.raises(Conflict) as refusal:
        request_export(finance, show_id="tonight")
    assert refusal.value.code == "idempotency_conflict"
    with pytest.raises(Conflict):
        finance.exports.request_export(date(2026, 11, 26), None, "k1", "finance@jwt", NOW)
    assert len(finance.messages()) == 1


def test_equal_keys_of_two_actors_are_two_runs(finance: FinanceFixture) -> None:
    other = finance.exports.request_export(FRIDAY, "tonight", "k1", "other@jwt", NOW)
    assert request_export(finance).id != other.id


def test_done_run_has_its_manifest_key_and_counts(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    run = finance.exports.run_export("2026-11-27", request_export(finance).id, clock_showing(NOW))
    assert run is not None
    assert (run.state, run.orders, run.entries, run.differences) == (RunState.DONE, 1, 2, 0)
    assert run.manifest_key == f"exports/date=2026-11-27/interim/show=all/run={run.id}/manifest.json"
    manifest = finance.exports.manifest_of(run)
    assert manifest is not None
    assert manifest["units"] == {"sold": 2, "refunded": 0}
    assert finance.exports.run_export(run.date, run.id, clock_showing(NOW + 1)) == run


def test_run_has_the_times_of_its_start_and_end(finance: FinanceFixture) -> None:
    run = request_export(finance)
    done = finance.exports.run_export(run.date, run.id, clock_showing(NOW + MINUTE, NOW + 3 * MINUTE))
    assert done is not None
    assert (done.requested_at, done.started_at, done.finished_at) == (NOW, NOW + MINUTE, NOW + 3 * MINUTE)
    assert finance.exports.runs_of_day(FRIDAY) == [done]


def test_day_is_closed_by_request(finance: FinanceFixture) -> None:
    finance.ledger.post_entries(entries_of(a_paid_order(), TIME_ZONE))
    store_purchases(finance.purchases, a_paid_order())
    run = finance.exports.run_export("2026-11-27", request_export(finance, close=True).id, clock_showing(ON_SATURDAY))
    assert run is not None
    assert run.manifest_key == "exports/date=2026-11-27/revision=1/manifest.json"


def test_day_that_is_not_over_or_one_show_cannot_be_closed(finance: FinanceFixture) -> None:
    with pytest.raises(Conflict) as refusal:
        finance.exports.request_export(FRIDAY, None, "k1", "finance@jwt", NOW, close=True)
    assert (refusal.value.code, refusal.value.field) == ("day_not_over", "$.date")
    with pytest.raises(BadInput) as bad:
        finance.exports.request_export(FRIDAY, "tonight", "k1", "finance@jwt", ON_SATURDAY, close=True)
    assert bad.value.field == "$.show_id"
    assert (finance.exports.runs_of_day(FRIDAY), finance.messages()) == ([], [])


def test_day_that_has_not_begun_in_the_shop_cannot_be_exported(finance: FinanceFixture) -> None:
    half_past_midnight_in_london = parse_rfc3339("2026-07-01T23:30:00Z")
    for close in (False, True):
        with pytest.raises(Conflict) as refusal:
            finance.exports.request_export(
                date(2026, 7, 3), None, "k", "ada", half_past_midnight_in_london, close=close
            )
        assert (refusal.value.code, refusal.value.field) == ("day_not_begun", "$.date")
    assert (finance.exports.runs_of_day(date(2026, 7, 3)), finance.messages()) == ([], [])
    today = finance.exports.request_export(date(2026, 7, 2), None, "k", "ada", half_past_midnight_in_london)
    assert finance.exports.runs_of_day(date(2026, 7, 2)) == [today]


@pytest.mark.parametrize("text", ["", "27.11.2026", "2026-02-30", "20261127", "2026-11-27T00:00:00Z", "2026-W48-5"])
def test_malformed_date_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as bad:
        parse_day(text)
    assert bad.value.field == "date"


def test_failed_run_has_its_error_and_can_be_repeated(finance: FinanceFixture) -> None:
    run = request_export(finance, close=True)
    with pytest.raises(Conflict):
        finance.exports.run_export(run.date, run.id, clock_showing(PAID_AT))
    (failed,) = finance.exports.runs_of_day(FRIDAY)
    assert (failed.state, failed.error) == (RunState.FAILED, "day_not_over")
    done = finance.exports.run_export(run.date, run.id, clock_showing(ON_SATURDAY))
    assert done is not None
    assert (done.state, done.error) == (RunState.DONE, None)


def test_run_of_a_dead_worker_is_finished_by_the_next(finance: FinanceFixture) -> None:
    run = request_export(finance)
    running = run.model_copy(update={"state": RunState.RUNNING, "started_at": NOW})
    assert finance.exports.runs.update(running.model_dump(), "requested")
    done = finance.exports.run_export(run.date, run.id, clock_showing(NOW))
    assert done is not None
    assert done.state is RunState.DONE


def test_unknown_run_is_none(finance: FinanceFixture) -> None:
    assert finance.exports.run_export("2026-11-27", "ghost", clock_showing(NOW)) is None


def test_repeated_request_replaces_a_lost_message(finance: FinanceFixture) -> None:
    class Broken:
        def send_message(self, **_: str) -> None:
            raise ConnectionError

    queue = finance.exports.queue
    broken = type(finance.exports)(finance.exports.runs, ExportQueue(Broken(), queue.url), finance.closer)  # type: ignore[arg-type]
    with pytest.raises(ConnectionError):
        broken.request_export(FRIDAY, None, "k1", "finance@jwt", NOW)
    run = request_export(finance)
    assert [json.loads(body)["run_id"] for body in finance.messages()] == [run.id]


def test_schedule_closes_due_days_once(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    (run,) = finance.exports.close_due_days(clock_showing(ON_SATURDAY))
    assert (run.date, run.state, run.requested_by, run.orders) == ("2026-11-27", RunState.DONE, "schedule", 1)
    assert finance.exports.close_due_days(clock_showing(ON_SATURDAY)) == []
    assert finance.exports.runs_of_day(FRIDAY) == [run]
