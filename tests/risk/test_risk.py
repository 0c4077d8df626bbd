"""Each decline is stored once, for its window. One decline begins the step-up of a drop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.aws import from_item, to_item
from chalicelib.instants import HOUR, MINUTE, SECOND
from chalicelib.risk import DeclineLimits, DropRisk, FraudRules, Risk, StepUpRule, VelocityKind
from chalicelib.risk import risk as risk_module
from chalicelib.risk.store import RiskStore
from chalicelib.stock import Stock
from tests.conftest import Tables

NOW = 1_800_000_000_000 // (5 * MINUTE) * 5 * MINUTE
RULES = FraudRules(DeclineLimits(instrument=2, email=3, address=9), StepUpRule(4, 50, 5 * MINUTE, 30 * MINUTE))
VELOCITY_KEYS = ("i#card", "e#mail")


@pytest.fixture
def counted_metrics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the metrics that the room counted."""
    names: list[str] = []
    monkeypatch.setattr(risk_module, "count", names.append)
    return names


def a_risk(tables: Tables, rules: FraudRules = RULES) -> Risk:
    return Risk(tables.dynamodb, tables.commerce, Stock(tables.dynamodb, tables.stock, tables.commerce), rules)


@pytest.fixture
def risk(tables: Tables) -> Risk:
    return a_risk(tables)


def items_by_pk(tables: Tables) -> dict[str, Any]:
    items = (from_item(item) for item in tables.dynamodb.scan(TableName=tables.commerce)["Items"])
    return {item["pk"]: item for item in items}


def put_sold_units(tables: Tables, units: int, drop_id: str = "mug") -> None:
    summary = {"size": 999, "available": 999 - units, "held": 0, "sold": units, "open": b"\1", "as_of": NOW}
    record = {"pk": f"DROP#{drop_id}", "sk": "LIVE", **summary}
    tables.dynamodb.put_item(TableName=tables.commerce, Item=to_item(record))


def test_repeated_decline_counts_once_under_each_key(tables: Tables, risk: Risk) -> None:
    for now in (NOW, NOW + SECOND):
        risk.note_decline(VELOCITY_KEYS, "p1.1", now)
    risk.note_decline(VELOCITY_KEYS, "p1.2", NOW + SECOND)
    found = items_by_pk(tables)
    assert found.keys() == {"VELOCITY#i#card", "VELOCITY#e#mail"}
    assert found["VELOCITY#i#card"] == {
        "pk": "VELOCITY#i#card",
        "sk": "DECLINES",
        "p1.1": NOW,
        "p1.2": NOW + SECOND,
        "expires_at": (NOW + SECOND + HOUR) // SECOND,
    }


def test_buyer_with_too_many_declines_is_refused_until_the_window_ends(risk: Risk) -> None:
    for number in range(2):
        assert risk.check_velocity(VELOCITY_KEYS, NOW, strong=True) is None
        risk.note_decline(VELOCITY_KEYS, f"p{number}.1", NOW + number)
    found = risk.check_velocity(VELOCITY_KEYS, NOW + 1, strong=True)
    assert found is not None
    assert (found.kind, found.retry_after) == (VelocityKind.INSTRUMENT, HOUR - 1)
    assert risk.check_velocity(("e#mail", "a#home"), NOW + 1, strong=True) is None
    assert risk.check_velocity(VELOCITY_KEYS, NOW + HOUR, strong=True) is None


def test_attempt_that_is_counted_as_declined_is_blocked_by_no_limit(risk: Risk) -> None:
    for number in range(2):
        risk.note_decline(("i#card",), f"p{number}.1", NOW)
    assert risk.check_velocity(VELOCITY_KEYS, NOW, strong=True, attempt="p2.1") is not None
    assert risk.check_velocity(VELOCITY_KEYS, NOW, strong=True, attempt="p1.1") is None


def test_expired_decline_is_removed_with_the_next_decline(tables: Tables, risk: Risk) -> None:
    risk.note_decline(("e#mail",), "p1.1", NOW)
    risk.note_decline(("e#mail",), "p2.1", NOW + 1)
    risk.note_decline(("e#mail",), "p3.1", NOW + HOUR)
    assert items_by_pk(tables)["VELOCITY#e#mail"].keys() == {"pk", "sk", "expires_at", "p2.1", "p3.1"}
    risk.note_decline(("e#mail",), "p3.1", NOW + 3 * HOUR)
    assert items_by_pk(tables)["VELOCITY#e#mail"]["p3.1"] == NOW + HOUR


def test_rules_that_are_off_cost_no_call(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    off = a_risk(tables, FraudRules())
    tables.dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: calls.append(model.name))
    assert off.check_velocity((), NOW, strong=True) is None
    off.note_decline((), "p1.1", NOW)
    off.note_decline_of_drop("mug", "p0.1", 1, NOW)
    assert not off.requires_step_up("mug", NOW)
    assert calls == []


def test_decline_that_reaches_the_threshold_begins_one_step_up(
    tables: Tables, risk: Risk, counted_metrics: list[str]
) -> None:
    put_sold_units(tables, 100)
    for number in range(3):
        risk.note_decline_of_drop("mug", f"p{number}.1", 1, NOW + number)
        assert not risk.requires_step_up("mug", NOW + number)
    risk.note_decline_of_drop("mug", "px.1", 1, NOW + 3)
    assert risk.requires_step_up("mug", NOW + 3)
    assert not risk.requires_step_up("lamp", NOW + 3)
    risk.note_decline_of_drop("mug", "py.1", 2, NOW + 4)
    assert counted_metrics == ["step_ups"]
    assert risk.drop_risk("mug") == DropRisk(NOW, 5, 6, 100, NOW + 3 + 30 * MINUTE, NOW + 3, "declines")
    assert items_by_pk(tables)["DROP#mug"]["expires_at"] > (NOW + 30 * MINUTE) // SECOND
    assert not risk.requires_step_up("mug", NOW + 3 + 30 * MINUTE)


def test_declines_among_many_sales_begin_no_step_up(tables: Tables, risk: Risk, counted_metrics: list[str]) -> None:
    put_sold_units(tables, 100)
    risk.note_decline_of_drop("mug", "p0.1", 1, NOW)
    put_sold_units(tables, 106)
    for number in range(1, 6):
        risk.note_decline_of_drop("mug", f"p{number}.1", 1, NOW + number)
    assert risk.requires_step_up("mug", NOW + 5)  # 6 of 12: half
    other = a_risk(tables, FraudRules(step_up=StepUpRule(4, 51, 5 * MINUTE, 30 * MINUTE)))
    other.note_decline_of_drop("lamp", "p0.1", 1, NOW)
    put_sold_units(tables, 6, "lamp")
    for number in range(1, 6):
        other.note_decline_of_drop("lamp", f"p{number}.1", 1, NOW + number)
    assert not other.requires_step_up("lamp", NOW + 5)
    assert counted_metrics == ["step_ups"]


def test_declines_of_a_new_window_are_counted_from_zero(tables: Tables, risk: Risk) -> None:
    for number in range(3):
        risk.note_decline_of_drop("mug", f"p{number}.1", 1, NOW + number)
    put_sold_units(tables, 7)
    risk.note_decline_of_drop("mug", "px.1", 1, NOW + 5 * MINUTE)
    assert risk.drop_risk("mug") == DropRisk(NOW + 5 * MINUTE, 1, 1, 7)
    risk.note_decline_of_drop("mug", "p0.1", 1, NOW)  # a clock that runs behind
    assert risk.drop_risk("mug") == DropRisk(NOW + 5 * MINUTE, 2, 2, 7)


def test_step_up_reaches_another_process_within_a_second_and_begins_again_with_the_attack(
    tables: Tables, risk: Risk, counted_metrics: list[str]
) -> None:
    other = a_risk(tables)
    assert not other.requires_step_up("mug", NOW)
    for number in range(4):
        risk.note_decline_of_drop("mug", f"p{number}.1", 1, NOW + number)
    assert not other.requires_step_up("mug", NOW + 999)
    assert other.requires_step_up("mug", NOW + SECOND)
    again = NOW + 31 * MINUTE
    assert not other.requires_step_up("mug", again)
    for number in range(4):
        risk.note_decline_of_drop("mug", f"p{number}.1", 1, again + number)
    assert other.requires_step_up("mug", again + SECOND)
    assert counted_metrics == ["step_ups", "step_ups"]


def test_operator_begins_and_ends_a_step_up(risk: Risk) -> None:
    assert risk.set_step_up("mug", NOW + MINUTE, "ann", NOW) == DropRisk(
        step_up_until=NOW + MINUTE, step_up_since=NOW, step_up_by="ann"
    )
    assert risk.requires_step_up("mug", NOW)
    risk.set_step_up("mug", NOW + 1, "bob", NOW + 1)
    assert not risk.requires_step_up("mug", NOW + 1)


def test_two_workers_at_the_threshold_begin_one_step_up(
    tables: Tables, risk: Risk, counted_metrics: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        risk.note_decline_of_drop("mug", f"p{number}.1", 1, NOW + number)
    begin_step_up: Callable[..., bool] = RiskStore.begin_step_up

    def begin_after_rival(self: RiskStore, *arguments: Any) -> bool:
        monkeypatch.setattr(RiskStore, "begin_step_up", begin_step_up)
        a_risk(tables).note_decline_of_drop("mug", "py.1", 1, NOW + 3)
        return begin_step_up(self, *arguments)

    monkeypatch.setattr(RiskStore, "begin_step_up", begin_after_rival)
    risk.note_decline_of_drop("mug", "px.1", 1, NOW + 3)
    assert counted_metrics == ["step_ups"]
    assert risk.drop_risk("mug").declines == 5


def test_direct_repeat_of_a_decline_counts_once(risk: Risk) -> None:
    for now in (NOW, NOW, NOW + 5 * MINUTE, NOW + 5 * MINUTE):
        risk.note_decline_of_drop("mug", f"p{now}.1", 1, now)
    assert risk.drop_risk("mug").declines == 1
    risk.note_decline_of_drop("mug", "other.1", 1, NOW + 5 * MINUTE)
    assert risk.drop_risk("mug").declines == 2
