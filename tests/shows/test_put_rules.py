"""Operators put shows and drops: idempotent by id, with fixed fields, and whole after a crash at any call."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import SECOND, rfc3339
from chalicelib.shows import CueApplied, CueType, DropState
from tests.builders.shows import NOW, ShowFixture, a_cue, a_drop_request, a_show_request
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient, die_from_call, once_at_call
from tests.fakes.process_died import ProcessDied

LATER = NOW + SECOND


def test_same_body_again_changes_nothing(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(opens_at=rfc3339(NOW))
    before = show_fixture.all_items()
    assert show_fixture.shows.put_show("s1", a_show_request(), "bob", LATER)[1] is False
    assert show_fixture.shows.put_drop("d1", a_drop_request(opens_at=rfc3339(NOW)), "bob", LATER)[1] is False
    assert show_fixture.all_items() == before


def test_new_drop_has_all_its_units_and_waits_for_its_cue(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(stock=100)
    live_drop = show_fixture.live_drop()
    assert (live_drop.state, live_drop.size, live_drop.available) == (DropState.SCHEDULED, 100, 100)
    assert (show_fixture.drop().bucket_count, show_fixture.drop().stock) == (5, 100)
    assert show_fixture.stock.audit(show_fixture.drop().pool, 100, NOW).mismatches == ()


def test_change_leaves_an_audit_item_with_actor_and_time(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    show_fixture.shows.put_drop("d1", a_drop_request(title="Better lamp"), "bob", LATER)
    last = show_fixture.items_of("SHOW#s1")[3]
    assert last["sk"] == f"AUDIT#{LATER}#d1#3"
    assert {name: last[name] for name in ("subject", "action", "by", "at")} == {
        "subject": "d1",
        "action": "put",
        "by": "bob",
        "at": LATER,
    }
    assert last["changes"] == {"title": {"from": "Lamp", "to": "Better lamp"}}


@pytest.mark.parametrize(
    ("change", "attribute", "value"),
    [
        ({"title": "Better lamp"}, "title", "Better lamp"),
        ({"unit_price": {"amount": 4_000, "currency": "GBP"}}, "unit_price", 4_000),
        ({"unit_price": {"amount": 4_000, "currency": "GBP"}}, "earlier_price", 5_000),
        ({"opens_at": rfc3339(NOW)}, "opens_at", NOW),
        ({"closes_at": rfc3339(NOW)}, "closes_at", NOW),
        ({"hold_seconds": 60}, "hold_seconds", 60),
        ({"limit_per_buyer": 2}, "limit_per_buyer", 2),
        ({"max_quantity": 2}, "max_quantity", 2),
        ({"commission_bps": 250}, "commission_bps", 250),
    ],
)
def test_changeable_field_changes(tables: Tables, change: dict[str, Any], attribute: str, value: Any) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    assert show_fixture.shows.put_drop("d1", a_drop_request(**change), "bob", LATER)[1] is False
    assert getattr(show_fixture.drop(), attribute) == value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"show_id": "s2"}, "$.show_id"),
        ({"sku": "LAMP-2"}, "$.sku"),
        ({"usual_quantity": 2}, "$.usual_quantity"),
        ({"unit_price": {"amount": 5_000, "currency": "EUR"}}, "$.unit_price.currency"),
        ({"stock": 4}, "$.stock"),
    ],
)
def test_fixed_field_of_a_drop_is_refused_by_name(tables: Tables, change: dict[str, Any], field: str) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    before = show_fixture.all_items()
    with pytest.raises(Conflict) as refusal:
        show_fixture.shows.put_drop("d1", a_drop_request(title="Also new", **change), "bob", LATER)
    assert refusal.value.field == field
    assert show_fixture.all_items() == before


@pytest.mark.parametrize("change", [{"currency": "EUR"}, {"market": "us"}])
def test_field_that_drops_copied_from_their_show_is_fixed(tables: Tables, change: dict[str, str]) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    with pytest.raises(Conflict) as refusal:
        show_fixture.shows.put_show("s1", a_show_request(**change), "bob", LATER)
    assert refusal.value.field == f"$.{next(iter(change))}"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"show_id": "s9"}, "$.show_id"),
        ({"unit_price": {"amount": 1, "currency": "EUR"}}, "$.unit_price.currency"),
        ({"opens_at": rfc3339(NOW), "closes_at": rfc3339(NOW)}, "$.closes_at"),
    ],
)
def test_drop_that_does_not_fit_its_show_is_refused(tables: Tables, change: dict[str, Any], field: str) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    before = show_fixture.all_items()
    with pytest.raises(BadInput) as refusal:
        show_fixture.shows.put_drop("d2", a_drop_request(**change), "ann", NOW)
    assert refusal.value.field == field
    assert show_fixture.all_items() == before


@pytest.mark.parametrize("bad", ["", "a#b", "a/b", "-a", "a" * 65, "a\n"])
def test_bad_id_is_refused(tables: Tables, bad: str) -> None:
    with pytest.raises(BadInput) as refusal:
        ShowFixture(tables).shows.put_show(bad, a_show_request(), "ann", NOW)
    assert refusal.value.field == "id"


def test_repeated_body_undoes_no_cue(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    assert show_fixture.shows.apply_cue(a_cue(CueType.OPEN), NOW) == CueApplied()
    show_fixture.shows.put_drop("d1", a_drop_request(title="Better lamp"), "bob", LATER)
    assert (show_fixture.drop().opens_at, show_fixture.drop().title) == (NOW, "Better lamp")


def test_put_does_not_open_a_closed_drop_again(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop(opens_at=rfc3339(NOW - 2), closes_at=rfc3339(NOW))
    with pytest.raises(Conflict) as refusal:
        show_fixture.shows.put_drop("d1", a_drop_request(closes_at=rfc3339(LATER + 1)), "bob", LATER)
    assert (refusal.value.code, refusal.value.field) == ("closed", "$.closes_at")
    assert show_fixture.drop().closes_at == NOW


def test_window_put_after_the_time_of_a_cue_wins(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    show_fixture.shows.put_drop("d1", a_drop_request(opens_at=rfc3339(LATER)), "bob", NOW)
    answer = show_fixture.shows.apply_cue(a_cue(CueType.OPEN, NOW - 1), NOW)
    assert getattr(answer, "code", None) == "superseded"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_drop_is_whole_or_not_for_sale_after_a_crash_at_any_call(tables: Tables, moment: str) -> None:
    ShowFixture(tables).shows.put_show("s1", a_show_request(), "ann", NOW)
    for call in range(1, 100):
        drop_id = f"d{call}"
        client = HookedClient(tables.dynamodb, **{moment: die_from_call(at=call)})
        try:
            ShowFixture(tables, client).shows.put_drop(drop_id, a_drop_request(stock=60), "ann", NOW)
        except ProcessDied:
            survivor = ShowFixture(tables)
            offer = survivor.shows.offer(drop_id, NOW)
            assert offer is None or survivor.stock.audit(offer.drop.pool, 60, NOW).mismatches == ()
            survivor.shows.put_drop(drop_id, a_drop_request(stock=60), "ann", LATER)
        else:
            break
        drop = survivor.shows.drop(drop_id)
        assert drop is not None
        audit = survivor.stock.audit(drop.pool, 60, LATER)
        assert (audit.size, audit.available, audit.mismatches) == (60, 60, ())
        live = survivor.shows.live("s1", LATER)
        assert live is not None
        assert drop_id in [live_drop.drop_id for live_drop in live.drops]
    assert 7 <= call < 20


def test_first_of_two_creators_decides_the_stock_of_a_drop(tables: Tables) -> None:
    ShowFixture(tables).shows.put_show("s1", a_show_request(), "ann", NOW)
    rival = ShowFixture(tables)
    client = HookedClient(
        tables.dynamodb,
        before=once_at_call(
            "transact_write_items", lambda: rival.shows.put_drop("d1", a_drop_request(stock=50), "bob", NOW)
        ),
    )
    with pytest.raises(Conflict) as refusal:
        ShowFixture(tables, client).shows.put_drop("d1", a_drop_request(stock=100), "ann", NOW)
    assert refusal.value.field == "$.stock"
    assert rival.stock.audit(rival.drop().pool, 50, NOW).mismatches == ()


def test_two_changes_at_once_both_take_effect(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    client = HookedClient(
        tables.dynamodb,
        before=once_at_call("transact_write_items", lambda: show_fixture.shows.apply_cue(a_cue(CueType.OPEN), NOW)),
    )
    ShowFixture(tables, client).shows.put_drop("d1", a_drop_request(title="Better lamp"), "bob", LATER)
    assert (show_fixture.drop().title, show_fixture.drop().opens_at) == ("Better lamp", NOW)
