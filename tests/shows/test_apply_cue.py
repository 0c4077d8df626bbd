"""Cues on stored records: one conditional write decides each of them, and operators can read every refusal."""

from __future__ import annotations

import pytest

from chalicelib.instants import DAY, SECOND
from chalicelib.shows import CueApplied, CueRefused, CueRepeated, CueType, DropState
from tests.builders.shows import NOW, ShowFixture, a_cue, a_drop_request
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient, die_from_call, once_at_call
from tests.fakes.process_died import ProcessDied


def test_open_cue_opens_the_drop_for_every_watcher(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    assert show_fixture.shows.apply_cue(a_cue(CueType.OPEN, closes_at=NOW + 60 * SECOND), NOW) == CueApplied()
    drop = show_fixture.live_drop()
    assert (drop.state, drop.opens_at, drop.closes_at) == (DropState.OPEN, NOW, NOW + 60 * SECOND)


def test_process_that_applied_a_cue_sees_it_at_once(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    show_fixture.shows.live("s1", NOW)
    show_fixture.shows.offer("d1", NOW)
    show_fixture.shows.apply_cue(a_cue(CueType.OPEN), NOW)
    offer, live = show_fixture.shows.offer("d1", NOW), show_fixture.shows.live("s1", NOW)
    assert offer is not None
    assert live is not None
    assert (offer.drop.opens_at, live.drops[0].state) == (NOW, DropState.OPEN)


def test_repeated_cue_writes_nothing(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    cue = a_cue(CueType.OPEN)
    show_fixture.shows.apply_cue(cue, NOW)
    before = show_fixture.all_items()
    assert show_fixture.shows.apply_cue(cue, NOW + SECOND) == CueRepeated()
    assert show_fixture.all_items() == before


def test_refusal_is_stored_once_and_expires(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    cue = a_cue(CueType.OPEN, NOW - 31 * SECOND)
    for _ in range(2):
        assert show_fixture.shows.apply_cue(cue, NOW) == CueRefused(
            "stale_open", "The cue is 31 s old. The limit is 30 s."
        )
    (refused,) = show_fixture.shows.refused_cues("s1")
    assert (refused.id, refused.code, refused.subject, refused.time) == (cue.id, "stale_open", "d1", cue.time)
    (stored,) = show_fixture.items_of("CUES#REFUSED")
    assert stored["expires_at"] == (NOW + 30 * DAY) // SECOND
    assert show_fixture.drop().opens_at is None


def test_refusals_are_listed_newest_first(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    for age in (40, 60, 50):
        show_fixture.shows.apply_cue(a_cue(CueType.OPEN, NOW - age * SECOND), NOW)
    assert [refused.time for refused in show_fixture.shows.refused_cues("s1")] == [
        NOW - age * SECOND for age in (40, 50, 60)
    ]


@pytest.mark.parametrize("kind", [CueType.OPEN, CueType.SUSPEND, CueType.SHOW_STARTED])
def test_cue_with_unknown_subject_is_refused(tables: Tables, kind: CueType) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    answer = show_fixture.shows.apply_cue(a_cue(kind, subject="d9"), NOW)
    assert answer == CueRefused("unknown_subject", "There is no show or drop d9.")
    assert len(show_fixture.shows.refused_cues(None)) == 1


def test_show_starts_and_ends_at_the_times_of_its_cues(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    started = a_cue(CueType.SHOW_STARTED, NOW - 2, subject="s1")
    assert show_fixture.shows.apply_cue(started, NOW) == CueApplied()
    assert show_fixture.shows.apply_cue(a_cue(CueType.SHOW_ENDED, NOW, subject="s1"), NOW) == CueApplied()
    assert show_fixture.shows.apply_cue(started, NOW) == CueRepeated()
    late = show_fixture.shows.apply_cue(a_cue(CueType.SHOW_STARTED, NOW - 1, subject="s1"), NOW)
    assert isinstance(late, CueRefused)
    assert late.code == "superseded"
    live = show_fixture.shows.live("s1", NOW)
    assert live is not None
    assert (live.show.started_at, live.show.ended_at) == (NOW - 2, NOW)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("operation", ["get_item", "transact_write_items"])
def test_newer_rival_wins_at_every_point_of_the_call(tables: Tables, operation: str, moment: str) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    rival = a_cue(CueType.CLOSE, NOW)
    client = HookedClient(
        tables.dynamodb, **{moment: once_at_call(operation, lambda: show_fixture.shows.apply_cue(rival, NOW))}
    )
    ShowFixture(tables, client).shows.apply_cue(a_cue(CueType.OPEN, NOW - 1), NOW)
    assert show_fixture.live_drop().state is DropState.CLOSED
    assert show_fixture.drop().closes_at == NOW


@pytest.mark.parametrize("moment", ["before", "after"])
def test_rival_cue_of_the_suspension_leaves_the_window_unchanged(tables: Tables, moment: str) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    rival = a_cue(CueType.SUSPEND, NOW)
    hook = once_at_call("transact_write_items", lambda: show_fixture.shows.apply_cue(rival, NOW))
    client = HookedClient(tables.dynamodb, **{moment: hook})
    assert ShowFixture(tables, client).shows.apply_cue(a_cue(CueType.OPEN, NOW - 1), NOW) == CueApplied()
    assert (show_fixture.drop().opens_at, show_fixture.drop().suspended) == (NOW - 1, True)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_same_cue_twice_at_once_is_applied_once(tables: Tables, moment: str) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    cue = a_cue(CueType.OPEN)
    answers: list[object] = []
    hook = once_at_call("transact_write_items", lambda: answers.append(show_fixture.shows.apply_cue(cue, NOW)))
    answers.append(ShowFixture(tables, HookedClient(tables.dynamodb, **{moment: hook})).shows.apply_cue(cue, NOW))
    assert sorted(type(answer).__name__ for answer in answers) == ["CueApplied", "CueRepeated"]
    assert len([item for item in show_fixture.items_of("SHOW#s1") if item.get("action") == CueType.OPEN]) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_cue_delivered_again_after_a_crash_is_applied_once(tables: Tables, moment: str) -> None:
    for call in (1, 2):
        show_fixture = ShowFixture(tables).with_drop()
        show_fixture.shows.put_drop(f"e{call}", a_drop_request(), "ann", NOW)
        cue = a_cue(CueType.OPEN, subject=f"e{call}")
        dying = ShowFixture(tables, HookedClient(tables.dynamodb, **{moment: die_from_call(at=call)}))
        with pytest.raises(ProcessDied):
            dying.shows.apply_cue(cue, NOW)
        show_fixture.shows.apply_cue(cue, NOW + SECOND)
        drop = show_fixture.shows.drop(f"e{call}")
        assert drop is not None
        assert drop.opens_at == NOW
        assert len([item for item in show_fixture.items_of("SHOW#s1") if item.get("by", "").endswith(cue.id)]) == 1
