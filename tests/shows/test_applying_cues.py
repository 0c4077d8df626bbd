"""Cues on kept records: each decided by one conditional write; every refusal can be seen."""

from __future__ import annotations

import pytest

from chalicelib.instants import DAY, SECOND
from chalicelib.shows import CueApplied, CueRefused, CueRepeated, CueType, DropState
from tests.conftest import Tables
from tests.shows.builders import NOW, Died, Interposed, Stage, a_cue, a_drop, dying, once_at


def test_a_cue_opens_the_drop_for_every_watcher(tables: Tables) -> None:
    stage = Stage(tables).set()
    assert stage.shows.apply_cue(a_cue(CueType.OPEN, closes_at=NOW + 60 * SECOND), NOW) == CueApplied()
    seen = stage.seen()
    assert (seen.state, seen.opens_at, seen.closes_at) == (DropState.OPEN, NOW, NOW + 60 * SECOND)


def test_the_process_that_applied_a_cue_sees_it_at_once(tables: Tables) -> None:
    stage = Stage(tables).set()
    stage.shows.live("s1", NOW)
    stage.shows.offer("d1", NOW)
    stage.shows.apply_cue(a_cue(CueType.OPEN), NOW)
    offer, live = stage.shows.offer("d1", NOW), stage.shows.live("s1", NOW)
    assert offer is not None
    assert live is not None
    assert (offer.drop.opens_at, live.drops[0].state) == (NOW, DropState.OPEN)


def test_a_repeat_writes_nothing(tables: Tables) -> None:
    stage = Stage(tables).set()
    cue = a_cue(CueType.OPEN)
    stage.shows.apply_cue(cue, NOW)
    before = stage.everything()
    assert stage.shows.apply_cue(cue, NOW + SECOND) == CueRepeated()
    assert stage.everything() == before


def test_a_refusal_stands_in_the_shows_record_once_and_expires(tables: Tables) -> None:
    stage = Stage(tables).set()
    cue = a_cue(CueType.OPEN, NOW - 31 * SECOND)
    for _ in range(2):
        assert stage.shows.apply_cue(cue, NOW) == CueRefused("stale_open", "said 31 s ago; the limit is 30 s")
    (refused,) = stage.shows.refused_cues("s1")
    assert (refused.id, refused.code, refused.subject, refused.time) == (cue.id, "stale_open", "d1", cue.time)
    (kept,) = [item for item in stage.kept("SHOW#s1") if item["sk"].startswith("CUE#")]
    assert kept["expires_at"] == (NOW + 30 * DAY) // SECOND
    assert stage.drop().opens_at is None


def test_refusals_are_listed_newest_first(tables: Tables) -> None:
    stage = Stage(tables).set()
    for age in (40, 60, 50):
        stage.shows.apply_cue(a_cue(CueType.OPEN, NOW - age * SECOND), NOW)
    assert [refused.time for refused in stage.shows.refused_cues("s1")] == [NOW - age * SECOND for age in (40, 50, 60)]


@pytest.mark.parametrize("kind", [CueType.OPEN, CueType.SUSPEND, CueType.SHOW_STARTED])
def test_a_cue_about_nothing_known_is_refused(tables: Tables, kind: CueType) -> None:
    stage = Stage(tables).set()
    answer = stage.shows.apply_cue(a_cue(kind, subject="d9"), NOW)
    assert answer == CueRefused("unknown_subject", "nothing is known as d9")
    assert len(stage.shows.refused_cues(None)) == 1


def test_a_show_starts_and_ends_when_the_host_says_so(tables: Tables) -> None:
    stage = Stage(tables).set()
    started = a_cue(CueType.SHOW_STARTED, NOW - 2, subject="s1")
    assert stage.shows.apply_cue(started, NOW) == CueApplied()
    assert stage.shows.apply_cue(a_cue(CueType.SHOW_ENDED, NOW, subject="s1"), NOW) == CueApplied()
    assert stage.shows.apply_cue(started, NOW) == CueRepeated()
    late = stage.shows.apply_cue(a_cue(CueType.SHOW_STARTED, NOW - 1, subject="s1"), NOW)
    assert isinstance(late, CueRefused)
    assert late.code == "superseded"
    live = stage.shows.live("s1", NOW)
    assert live is not None
    assert (live.show.started_at, live.show.ended_at) == (NOW - 2, NOW)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("operation", ["get_item", "transact_write_items"])
def test_a_newer_rival_wins_at_whatever_point_it_comes_in(tables: Tables, operation: str, moment: str) -> None:
    stage = Stage(tables).set()
    rival = a_cue(CueType.CLOSE, NOW)
    client = Interposed(tables.dynamodb, **{moment: once_at(operation, lambda: stage.shows.apply_cue(rival, NOW))})
    Stage(tables, client).shows.apply_cue(a_cue(CueType.OPEN, NOW - 1), NOW)
    assert stage.seen().state is DropState.CLOSED
    assert stage.drop().closes_at == NOW


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_rival_on_the_suspension_takes_nothing_from_the_window(tables: Tables, moment: str) -> None:
    stage = Stage(tables).set()
    rival = a_cue(CueType.SUSPEND, NOW)
    hook = once_at("transact_write_items", lambda: stage.shows.apply_cue(rival, NOW))
    client = Interposed(tables.dynamodb, **{moment: hook})
    assert Stage(tables, client).shows.apply_cue(a_cue(CueType.OPEN, NOW - 1), NOW) == CueApplied()
    assert (stage.drop().opens_at, stage.drop().suspended) == (NOW - 1, True)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_same_cue_twice_at_once_is_applied_once(tables: Tables, moment: str) -> None:
    stage = Stage(tables).set()
    cue = a_cue(CueType.OPEN)
    answers: list[object] = []
    hook = once_at("transact_write_items", lambda: answers.append(stage.shows.apply_cue(cue, NOW)))
    answers.append(Stage(tables, Interposed(tables.dynamodb, **{moment: hook})).shows.apply_cue(cue, NOW))
    assert sorted(type(answer).__name__ for answer in answers) == ["CueApplied", "CueRepeated"]
    assert len([item for item in stage.kept("SHOW#s1") if item.get("action") == CueType.OPEN]) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_cue_that_comes_again_after_a_death_is_applied_once(tables: Tables, moment: str) -> None:
    for call in (1, 2):
        stage = Stage(tables).set()
        stage.shows.put_drop(f"e{call}", a_drop(), "ann", NOW)
        cue = a_cue(CueType.OPEN, subject=f"e{call}")
        doomed = Stage(tables, Interposed(tables.dynamodb, **{moment: dying(at=call)}))
        with pytest.raises(Died):
            doomed.shows.apply_cue(cue, NOW)
        stage.shows.apply_cue(cue, NOW + SECOND)
        drop = stage.shows.drop(f"e{call}")
        assert drop is not None
        assert drop.opens_at == NOW
        assert len([item for item in stage.kept("SHOW#s1") if item.get("by", "").endswith(cue.id)]) == 1
