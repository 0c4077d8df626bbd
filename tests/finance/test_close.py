"""Closing a day: once, for ever, and late entries are neither lost nor repeated."""

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
from tests.builders.paid_orders import PAID_AT, TIME_ZONE, a_paid_order, store_purchases, with_refund
from tests.conftest import EmulatorAccount
from tests.finance.conftest import BUCKET, FinanceFixture, build_finance_fixture

FRIDAY, SATURDAY, SUNDAY = date(2026, 11, 27), date(2026, 11, 28), date(2026, 11, 29)
ON_SATURDAY = PAID_AT + 8 * HOUR
ON_SUNDAY, ON_MONDAY = ON_SATURDAY + DAY, ON_SATURDAY + 2 * DAY


def store_and_post(finance: FinanceFixture, *orders: Any) -> None:
    store_purchases(finance.purchases, *orders)
    for order in orders:
        finance.ledger.post_entries(entries_of(order, TIME_ZONE))


def closed_entry_ids(finance: FinanceFixture, day: date) -> list[str]:
    """Return the entry ids in a closed day's ledger file."""
    body = finance.exporter.object_store.read(closed_prefix(day) + "ledger.csv") or b""
    return [row["id"] for row in csv.DictReader(io.StringIO(body.decode(), newline=""))]


P1 = ["P1.sale.li_1", "P1.shipping"]
P2 = ["P2.sale.li_1", "P2.shipping"]


def test_closed_day_has_its_files_at_its_prefix(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order())
    manifest = finance.closer.close_day(FRIDAY, ON_SATURDAY)
    assert (manifest["kind"], manifest["date"], manifest["revision"]) == ("close", "2026-11-27", 1)
    names = [key.removeprefix("exports/date=2026-11-27/revision=1/") for key in finance.keys("exports/date=")]
    assert names == ["ledger.csv", "lines.csv", "manifest.json", "orders.csv", "sources.txt"]
    assert closed_entry_ids(finance, FRIDAY) == P1


def test_day_that_is_not_over_cannot_be_closed(finance: FinanceFixture) -> None:
    with pytest.raises(Conflict) as refusal:
        finance.closer.close_day(FRIDAY, PAID_AT)
    assert refusal.value.code == "day_not_over"
    assert finance.keys() == []


def test_closed_files_never_change(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"))
    first = finance.closer.close_day(FRIDAY, ON_SATURDAY)
    before = finance.contents("exports/")
    store_and_post(finance, a_paid_order("P2"))
    assert finance.closer.close_day(FRIDAY, ON_SUNDAY) == first
    assert finance.contents("exports/") == before


def test_late_entry_is_posted_once_to_the_next_closed_day_with_its_own_date(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"))
    finance.closer.close_day(FRIDAY, ON_SATURDAY)
    store_and_post(finance, a_paid_order("P2"))
    saturday = finance.closer.close_day(SATURDAY, ON_SUNDAY)
    assert saturday["late_posted"] == {"count": 2, "dates": ["2026-11-27"]}
    assert saturday["totals"]["GBP"]["sale"]["gross"] == 2_550
    assert closed_entry_ids(finance, SATURDAY) == P2
    sunday = finance.closer.close_day(SUNDAY, ON_MONDAY)
    assert (sunday["late_posted"], closed_entry_ids(finance, SUNDAY)) == ({"count": 0, "dates": []}, [])


def test_late_duplicate_of_a_closed_entry_is_not_posted_again(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"))
    finance.closer.close_day(FRIDAY, ON_SATURDAY)
    store_and_post(finance, a_paid_order("P2"))
    finance.closer.close_day(SATURDAY, ON_SUNDAY)
    both = [*entries_of(a_paid_order("P1"), TIME_ZONE), *entries_of(a_paid_order("P2"), TIME_ZONE)]
    finance.ledger.post_entries(both)
    assert finance.closer.close_day(SUNDAY, ON_MONDAY)["late_posted"]["count"] == 0


def test_late_entries_are_posted_once_when_days_are_closed_out_of_order(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order("P1"))
    finance.closer.close_day(FRIDAY, ON_SATURDAY)
    store_and_post(finance, a_paid_order("P2"))
    finance.closer.close_day(SUNDAY, ON_MONDAY)
    finance.closer.close_day(SATURDAY, ON_MONDAY)
    assert (closed_entry_ids(finance, SUNDAY), closed_entry_ids(finance, SATURDAY)) == (P2, [])


def test_refund_is_in_the_ledger_of_its_own_day(finance: FinanceFixture) -> None:
    store_and_post(finance, a_paid_order())
    finance.closer.close_day(FRIDAY, ON_SATURDAY)
    store_and_post(finance, with_refund(a_paid_order(), ("li_1", 1), done_at=ON_SATURDAY))
    saturday = finance.closer.close_day(SATURDAY, ON_SUNDAY)
    assert closed_entry_ids(finance, SATURDAY) == ["P1.refund.rf_1.li_1"]
    assert (saturday["differences"], saturday["late_posted"]["count"]) == ([], 0)


def test_schedule_closes_yesterday_and_days_left_open(finance: FinanceFixture) -> None:
    assert finance.closer.due_days(ON_SATURDAY) == [FRIDAY]
    store_and_post(finance, a_paid_order())
    assert finance.closer.due_days(ON_MONDAY) == [FRIDAY, SUNDAY]
    finance.closer.close_day(FRIDAY, ON_SATURDAY)
    assert finance.closer.due_days(ON_MONDAY) == [SATURDAY, SUNDAY]
    finance.closer.close_day(SATURDAY, ON_MONDAY)
    finance.closer.close_day(SUNDAY, ON_MONDAY)
    assert finance.closer.due_days(ON_MONDAY) == []


class DiedError(Exception):
    """The process ended."""


class S3DyingAfterWrites:
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


WRITES_OF_A_CLOSE = 11  # a missing ledger object, five staged files, the log, four files; then the manifest


@pytest.mark.parametrize("writes", range(1, WRITES_OF_A_CLOSE + 1))
def test_closing_that_died_after_any_write_is_completed_by_the_next(finance: FinanceFixture, writes: int) -> None:
    store_purchases(finance.purchases, a_paid_order("P1"))
    failing_s3: Any = S3DyingAfterWrites(finance.s3, writes)
    dying = build_finance_fixture(finance.tables, failing_s3, finance.sqs, finance.queue_url)
    with pytest.raises(DiedError):
        dying.closer.close_day(FRIDAY, ON_SATURDAY)
    assert finance.closer.manifest(FRIDAY) is None, "without a manifest nothing is closed"
    store_and_post(finance, a_paid_order("P2"))
    finance.closer.close_day(SATURDAY, ON_SUNDAY)
    friday = finance.closer.close_day(FRIDAY, ON_SUNDAY)
    assert sorted(closed_entry_ids(finance, FRIDAY) + closed_entry_ids(finance, SATURDAY)) == P1 + P2
    for name, facts in friday["files"].items():
        body = finance.exporter.object_store.read(facts["key"]) or b""
        assert len(body) == facts["bytes"], name


def test_closing_that_died_after_its_manifest_is_complete(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order("P1"))
    last = S3DyingAfterWrites(finance.s3, WRITES_OF_A_CLOSE + 1)
    dying = build_finance_fixture(finance.tables, last, finance.sqs, finance.queue_url)  # type: ignore[arg-type]
    with pytest.raises(DiedError, match=r"revision=1/manifest\.json"):
        dying.closer.close_day(FRIDAY, ON_SATURDAY)
    assert finance.closer.close_day(FRIDAY, ON_SUNDAY)["created_at"] == "2026-11-28T03:00:00.000Z"


class S3WithRival:
    """An S3 client that runs a rival right before it writes a key."""

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


def entry_ids_after_a_rival_closed(finance: FinanceFixture, s3: Any, rivals_day: date) -> list[str]:
    """Return the ids of all closed entries. A rival closed a day right before Friday's closing was decided."""
    store_and_post(finance, a_paid_order("P1"))
    finance.closer.close_day(date(2026, 11, 26), ON_SATURDAY)
    late = a_paid_order("P2", paid_at=PAID_AT - DAY)

    def rival() -> None:
        store_and_post(finance, late)
        finance.closer.close_day(rivals_day, ON_SUNDAY)

    beside = S3WithRival(s3, "exports/closes/000002.json", rival)
    slow = build_finance_fixture(finance.tables, beside, finance.sqs, finance.queue_url)  # type: ignore[arg-type]
    slow.closer.close_day(FRIDAY, ON_SUNDAY)
    finance.closer.close_day(SATURDAY, ON_SUNDAY)
    finance.closer.close_day(SUNDAY, ON_MONDAY)
    return sorted(
        closed_entry_ids(finance, FRIDAY) + closed_entry_ids(finance, SATURDAY) + closed_entry_ids(finance, SUNDAY)
    )


@pytest.mark.parametrize("rivals_day", [FRIDAY, SATURDAY])
def test_second_of_two_concurrent_closings_has_no_entry_of_the_first(finance: FinanceFixture, rivals_day: date) -> None:
    assert entry_ids_after_a_rival_closed(finance, finance.s3, rivals_day) == P1 + P2


class UnconditionalS3:
    """The control: an S3 client that writes without the condition."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **arguments: Any) -> Any:
        return self._s3.put_object(**{name: value for name, value in arguments.items() if name != "IfNoneMatch"})


def test_control_without_the_condition_posts_late_entries_twice(finance: FinanceFixture) -> None:
    assert entry_ids_after_a_rival_closed(finance, UnconditionalS3(finance.s3), SATURDAY) == sorted(P1 + P2 + P2)


@pytest.mark.emulator
def test_many_concurrent_closings_lose_and_repeat_no_entry(emulator: EmulatorAccount) -> None:
    s3, bucket = emulator.client("s3"), f"finance-{emulator.access_key}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    finance = build_finance_fixture(emulator.tables(), s3, emulator.client("sqs"), "unused", bucket)
    store_and_post(finance, a_paid_order("P1"))
    thursday = date(2026, 11, 26)
    finance.closer.close_day(thursday, ON_SATURDAY)
    store_and_post(finance, a_paid_order("P2", paid_at=PAID_AT - DAY))
    with ThreadPoolExecutor(8) as rivals:
        days = [FRIDAY, SATURDAY] * 6
        manifests = list(rivals.map(lambda day: finance.closer.close_day(day, ON_SUNDAY), days))
    assert sorted(closed_entry_ids(finance, FRIDAY) + closed_entry_ids(finance, SATURDAY)) == P1 + P2
    assert [manifests[n] for n in (0, 1)] * 6 == manifests, "all closings of a day tell of the same files"
    assert finance.keys("exports/closes/") == [f"exports/closes/00000{n}.json" for n in (1, 2, 3)]


def test_conditional_write_is_refused_when_the_object_exists(finance: FinanceFixture) -> None:
    objects = ObjectStore(finance.s3, BUCKET)
    assert objects.put_if_absent("k", b"1") is True
    assert objects.put_if_absent("k", b"2") is False
    assert objects.read("k") == b"1"
