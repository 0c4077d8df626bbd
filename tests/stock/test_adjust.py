from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.errors import InvariantBroken
from chalicelib.stock import Pool
from tests.builders.stock import NOW, StockFixture
from tests.conftest import Tables
from tests.stock.test_consolidate import bucket_of_expired_singles


def test_any_number_of_expired_holds_can_be_withdrawn(tables: Tables) -> None:
    fixture = bucket_of_expired_singles(tables, 160)
    assert fixture.stock.withdraw_units(fixture.pool, 1, 158, NOW) == 158
    assert fixture.stock.withdraw_units(fixture.pool, 1, 158, NOW) == 158
    assert (fixture.bucket(0)["s"], fixture.bucket(0)["a"]) == (2, 2 - len(fixture.bucket(0)["h"]))
    assert fixture.stock.audit(fixture.pool, 2, NOW).mismatches == ()


def test_a_numbered_plan_adds_its_units_once(tables: Tables) -> None:
    fixture = StockFixture(tables, [12, 12])
    for _ in range(2):
        fixture.stock.add_units(fixture.pool, 1, 36, NOW + 1)
        assert [fixture.bucket(n) for n in range(2)] == [
            {"a": 24, "s": 24, "h": {}, "p": 1},
            {"a": 36, "s": 36, "h": {}, "p": 1},
        ]
    summary = fixture.stock.summary("d")
    assert summary is not None
    assert (summary.size, summary.available, summary.open_buckets) == (60, 60, (0, 1))
    assert fixture.stock.audit(fixture.pool, 60, NOW).mismatches == ()


def test_a_plan_resumes_after_a_crash(tables: Tables) -> None:
    fixture = StockFixture(tables, [12, 12])
    unfinished = Pool("d", 3)
    with pytest.raises(InvariantBroken):
        fixture.stock.add_units(unfinished, 1, 36, NOW)
    fixture.stock.create_buckets("d", [12, 12, 12], NOW)
    fixture.stock.add_units(unfinished, 1, 36, NOW)
    assert fixture.stock.audit(unfinished, 72, NOW).mismatches == ()


def test_a_plan_that_is_repeated_writes_only_what_is_left(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = StockFixture(tables, [12] * 5)
    update = tables.dynamodb.update_item
    written: list[str] = []

    def twice_then_die(**call: Any) -> Any:
        if len(written) == 2:
            raise ReadTimeoutError(endpoint_url="here")
        written.append(call["Key"]["pk"]["S"])
        return update(**call)

    monkeypatch.setattr(tables.dynamodb, "update_item", twice_then_die)
    for tries in (2, 2, 1):
        with suppress(ReadTimeoutError):
            fixture.stock.add_units(fixture.pool, 1, 60, NOW)
        assert len(written) == tries
        written.clear()
    assert [fixture.bucket(number)["a"] for number in range(5)] == [24] * 5
