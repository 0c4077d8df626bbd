"""Closing a day: once, for ever, and nothing is lost or doubled by what comes late."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest

from chalicelib.errors import Conflict
from chalicelib.finance import entries_of
from chalicelib.finance.close import closed_prefix
from chalicelib.finance.store import ObjectStore
from chalicelib.instants import DAY, HOUR
from tests.conftest import EngineAccount
from tests.finance.builders import PAID_AT, TIME_ZONE, a_paid_order, keep, refunded
from tests.finance.conftest import BUCKET, Office, an_office

FRIDAY, SATURDAY, SUNDAY = date(2026, 11, 27), date(2026, 11, 28), date(2026, 11, 29)
ON_SATURDAY = PAID_AT + 8 * HOUR
ON_SUNDAY, ON_MONDAY = ON_SATURDAY + DAY, ON_SATURDAY + 2 * DAY


def recorded(office: Office, *orders: Any) -> None:
    keep(office.purchases, *orders)
    for order in orders:
        office.ledger.post_entries(entries_of(order, TIME_ZONE))


def ids(office: Office, day: date) -> list[str]:
    """Entry ids in a closed day's ledger file."""
    body = office.exporter.object_store.read(closed_prefix(day) + "ledger.csv") or b""
    return [row["id"] for row in csv.DictReader(io.StringIO(body.decode(), newline=""))]


P1 = ["P1-001", "P1-002", "P1-003"]
P2 = ["P2-001", "P2-002", "P2-003"]


def test_a_closed_day_has_its_files_where_finance_looks(office: Office) -> None:
    recorded(office, a_paid_order())
    manifest = office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    assert (manifest["kind"], manifest["date"], manifest["revision"]) == ("close", "2026-11-27", 1)
    names = [key.removeprefix("exports/date=2026-11-27/revision=1/") for key in office.keys("exports/date=")]
    assert names == ["ledger.csv", "lines.csv", "manifest.json", "orders.csv", "sources.txt"]
    assert ids(office, FRIDAY) == P1


def test_a_day_that_is_not_over_cannot_be_closed(office: Office) -> None:
    with pytest.raises(Conflict) as refusal:
        office.day_closer.close_day(FRIDAY, PAID_AT)
    assert refusal.value.code == "day_not_over"
    assert office.keys() == []


def test_closed_files_never_change(office: Office) -> None:
    recorded(office, a_paid_order("P1"))
    first = office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    before = office.contents("exports/")
    recorded(office, a_paid_order("P2"))
    assert office.day_closer.close_day(FRIDAY, ON_SUNDAY) == first
    assert office.contents("exports/") == before


def test_what_comes_late_posts_once_to_the_next_day_closed_with_its_own_date(office: Office) -> None:
    recorded(office, a_paid_order("P1"))
    office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    recorded(office, a_paid_order("P2"))
    saturday = office.day_closer.close_day(SATURDAY, ON_SUNDAY)
    assert saturday["late_posted"] == {"count": 3, "dates": ["2026-11-27"]}
    assert saturday["totals"]["GBP"]["sale"]["gross"] == 2_550
    assert ids(office, SATURDAY) == P2
    sunday = office.day_closer.close_day(SUNDAY, ON_MONDAY)
    assert (sunday["late_posted"], ids(office, SUNDAY)) == ({"count": 0, "dates": []}, [])


def test_a_late_duplicate_of_a_closed_entry_is_not_posted_again(office: Office) -> None:
    recorded(office, a_paid_order("P1"))
    office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    recorded(office, a_paid_order("P2"))
    office.day_closer.close_day(SATURDAY, ON_SUNDAY)
    both = [*entries_of(a_paid_order("P1"), TIME_ZONE), *entries_of(a_paid_order("P2"), TIME_ZONE)]
    office.ledger.post_entries(both)
    assert office.day_closer.close_day(SUNDAY, ON_MONDAY)["late_posted"]["count"] == 0


def test_late_entries_post_once_also_when_days_are_closed_out_of_order(office: Office) -> None:
    recorded(office, a_paid_order("P1"))
    office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    recorded(office, a_paid_order("P2"))
    office.day_closer.close_day(SUNDAY, ON_MONDAY)
    office.day_closer.close_day(SATURDAY, ON_MONDAY)
    assert (ids(office, SUNDAY), ids(office, SATURDAY)) == (P2, [])


def test_a_refund_of_another_day_stands_in_its_own_day(office: Office) -> None:
    recorded(office, a_paid_order())
    office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    recorded(office, refunded(a_paid_order(), ("li_1", 1), done_at=ON_SATURDAY))
    saturday = office.day_closer.close_day(SATURDAY, ON_SUNDAY)
    assert ids(office, SATURDAY) == ["P1-004"]
    assert (saturday["differences"], saturday["late_posted"]["count"]) == ([], 0)


def test_the_schedule_closes_yesterday_and_what_was_left_open_after_the_first_day(office: Office) -> None:
    assert office.day_closer.due_days(ON_SATURDAY) == [FRIDAY]
    recorded(office, a_paid_order())
    assert office.day_closer.due_days(ON_MONDAY) == [FRIDAY, SUNDAY]
    office.day_closer.close_day(FRIDAY, ON_SATURDAY)
    assert office.day_closer.due_days(ON_MONDAY) == [SATURDAY, SUNDAY]
    office.day_closer.close_day(SATURDAY, ON_MONDAY)
    office.day_closer.close_day(SUNDAY, ON_MONDAY)
    assert office.day_closer.due_days(ON_MONDAY) == []


class DiedError(Exception):
    """The process ended."""


class DiesAfter:
    """An S3 client whose process ends right after its n-th write took effect."""

    def __init__(self, s3: Any, writes: int) -> None:
        self._s3, self._left = s3, writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **arguments: Any) -> Any:
        answer = self._s3.put_object(**arguments)
        self._left -= 1
        if self._left == 0:
            raise DiedError(arguments["Key"])
        return answer


WRITES_OF_A_CLOSE = 11  # one repaired ledger object, five staged files, the log, four files and the manifest come last


@pytest.mark.parametrize("writes", range(1, WRITES_OF_A_CLOSE + 1))
def test_a_close_that_died_after_any_write_is_completed_by_the_next(office: Office, writes: int) -> None:
    keep(office.purchases, a_paid_order("P1"))
    failing_s3: Any = DiesAfter(office.s3, writes)
    dying = an_office(office.tables, failing_s3, office.sqs, office.queue_url)
    with pytest.raises(DiedError):
        dying.day_closer.close_day(FRIDAY, ON_SATURDAY)
    assert office.day_closer.manifest(FRIDAY) is None, "without a manifest nothing is closed"
    recorded(office, a_paid_order("P2"))
    office.day_closer.close_day(SATURDAY, ON_SUNDAY)
    friday = office.day_closer.close_day(FRIDAY, ON_SUNDAY)
    assert sorted(ids(office, FRIDAY) + ids(office, SATURDAY)) == P1 + P2
    for name, facts in friday["files"].items():
        body = office.exporter.object_store.read(facts["key"]) or b""
        assert len(body) == facts["bytes"], name


def test_a_close_that_died_after_its_manifest_is_closed(office: Office) -> None:
    keep(office.purchases, a_paid_order("P1"))
    last = DiesAfter(office.s3, WRITES_OF_A_CLOSE + 1)
    dying = an_office(office.tables, last, office.sqs, office.queue_url)  # type: ignore[arg-type]
    with pytest.raises(DiedError, match=r"revision=1/manifest\.json"):
        dying.day_closer.close_day(FRIDAY, ON_SATURDAY)
    assert office.day_closer.close_day(FRIDAY, ON_SUNDAY)["created_at"] == "2026-11-28T03:00:00.000Z"


class Rival:
    """An S3 client that lets somebody else act right before a key is written."""

    def __init__(self, s3: Any, key: str, act: Any) -> None:
        self._s3, self._key, self._act = s3, key, act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **arguments: Any) -> Any:
        act, self._act = self._act, None
        if act is not None and arguments["Key"] == self._key:
            act()
        else:
            self._act = act
        return self._s3.put_object(**arguments)


def closed_beside_a_rival(office: Office, s3: Any, rivals_day: date) -> list[str]:
    """Ids of all closed entries after a rival closed a day right before Friday's closing was decided."""
    recorded(office, a_paid_order("P1"))
    office.day_closer.close_day(date(2026, 11, 26), ON_SATURDAY)
    late = a_paid_order("P2", paid_at=PAID_AT - DAY)

    def rival() -> None:
        recorded(office, late)
        office.day_closer.close_day(rivals_day, ON_SUNDAY)

    beside = Rival(s3, "exports/closes/000002.json", rival)
    slow = an_office(office.tables, beside, office.sqs, office.queue_url)  # type: ignore[arg-type]
    slow.day_closer.close_day(FRIDAY, ON_SUNDAY)
    office.day_closer.close_day(SATURDAY, ON_SUNDAY)
    office.day_closer.close_day(SUNDAY, ON_MONDAY)
    return sorted(ids(office, FRIDAY) + ids(office, SATURDAY) + ids(office, SUNDAY))


@pytest.mark.parametrize("rivals_day", [FRIDAY, SATURDAY])
def test_of_two_closings_at_once_the_second_sees_all_that_the_first_took_in(office: Office, rivals_day: date) -> None:
    assert closed_beside_a_rival(office, office.s3, rivals_day) == P1 + P2


class Careless:
    """The control: an S3 client that writes without the condition."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **arguments: Any) -> Any:
        return self._s3.put_object(**{name: value for name, value in arguments.items() if name != "IfNoneMatch"})


def test_control_without_the_condition_late_entries_are_posted_twice(office: Office) -> None:
    assert closed_beside_a_rival(office, Careless(office.s3), SATURDAY) == sorted(P1 + P2 + P2)


@pytest.mark.engine
def test_many_closings_at_once_lose_nothing_and_double_nothing(engine: EngineAccount) -> None:
    s3, bucket = engine.client("s3"), f"finance-{engine.access_key}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    office = an_office(engine.tables(), s3, engine.client("sqs"), "unused", bucket)
    recorded(office, a_paid_order("P1"))
    thursday = date(2026, 11, 26)
    office.day_closer.close_day(thursday, ON_SATURDAY)
    recorded(office, a_paid_order("P2", paid_at=PAID_AT - DAY))
    with ThreadPoolExecutor(8) as rivals:
        days = [FRIDAY, SATURDAY] * 6
        manifests = list(rivals.map(lambda day: office.day_closer.close_day(day, ON_SUNDAY), days))
    assert sorted(ids(office, FRIDAY) + ids(office, SATURDAY)) == P1 + P2
    assert [manifests[n] for n in (0, 1)] * 6 == manifests, "all closings of a day tell of the same files"
    assert office.keys("exports/closes/") == [f"exports/closes/00000{n}.json" for n in (1, 2, 3)]


def test_a_conditional_write_is_refused_when_the_object_is_there(office: Office) -> None:
    objects = ObjectStore(office.s3, BUCKET)
    assert objects.put_if_absent("k", b"1") is True
    assert objects.put_if_absent("k", b"2") is False
    assert objects.read("k") == b"1"
