"""What watchers and buyers are shown: true to the instant, read once a second, cheap at any size."""

from __future__ import annotations

from collections import Counter

from chalicelib.instants import SECOND, rfc3339
from chalicelib.shows import CueType, DropState, LiveShow
from chalicelib.stock import hold_id
from tests.conftest import Tables
from tests.shows.builders import NOW, Interposed, Stage, a_cue, a_drop

UNTIL = NOW // SECOND + 60


def counted(tables: Tables) -> tuple[Stage, Counter[str]]:
    """A stage, and how often it called AWS."""
    calls: Counter[str] = Counter()

    def note(number: int, operation: str) -> None:
        calls[operation] += 1

    return Stage(tables, Interposed(tables.dynamodb, before=note)), calls


def live(stage: Stage, now: int = NOW) -> LiveShow:
    seen = stage.shows.live("s1", now)
    assert seen is not None
    return seen


def hold(stage: Stage, purchase: str, quantity: int = 1) -> None:
    stage.stock.take(stage.drop().pool, hold_id(purchase, "d1", 1, quantity), quantity, UNTIL, None, now=NOW)
    stage.stock.refresh(stage.drop().pool, NOW)


def test_nothing_is_known_of_what_does_not_exist(tables: Tables) -> None:
    stage = Stage(tables).set()
    assert (stage.shows.live("s9", NOW), stage.shows.offer("d9", NOW), stage.shows.drop("d9")) == (None, None, None)


def test_an_offer_costs_one_query_a_second(tables: Tables) -> None:
    Stage(tables).set(opens_at=rfc3339(NOW))
    stage, calls = counted(tables)
    offers = [stage.shows.offer("d1", NOW + after) for after in (0, 1, 999, 1_000)]
    assert calls == {"query": 2}
    assert [(offer.drop.id, offer.summary.available) for offer in offers if offer] == [("d1", 3)] * 4


def test_a_drop_that_waits_for_its_cue_is_read_five_times_a_second(tables: Tables) -> None:
    Stage(tables).set()
    stage, calls = counted(tables)
    opened: list[int | None] = []
    for after in range(0, 1_000, 50):
        if after == 400:
            Stage(tables).shows.apply_cue(a_cue(CueType.OPEN), NOW)  # in another process
        offer = stage.shows.offer("d1", NOW + after)
        assert offer is not None
        opened.append(offer.drop.opens_at)
    assert opened == [None] * 8 + [NOW] * 12
    assert calls == {"query": 3}


def test_a_show_costs_one_query_and_one_batch_for_fifty_drops_a_second(tables: Tables) -> None:
    setting = Stage(tables).set()
    for number in range(51):
        setting.shows.put_drop(f"more-{number:02}", a_drop(), "ann", NOW)
    stage, calls = counted(tables)
    assert len(live(stage).drops) == 52
    live(stage, NOW + 999)
    assert calls == {"query": 1, "batch_get_item": 2}


def test_what_is_held_is_shown_with_the_next_lapse(tables: Tables) -> None:
    stage = Stage(tables).set()
    hold(stage, "x", 2)
    seen = stage.seen()
    assert (seen.available, seen.held, seen.sold, seen.size, seen.next_lapse_at) == (1, 2, 0, 3, UNTIL * SECOND)


def test_a_lapse_that_nothing_told_of_is_shown(tables: Tables) -> None:
    stage = Stage(tables).set()
    hold(stage, "x", 3)
    lapsed = UNTIL * SECOND + 3 * SECOND
    seen = stage.seen(lapsed)
    offer = Stage(tables).shows.offer("d1", lapsed)
    assert (seen.available, seen.held, seen.next_lapse_at) == (3, 0, None)
    assert offer is not None
    assert offer.summary.available == 3


def test_a_window_turns_at_its_instant_though_the_rest_was_read_before(tables: Tables) -> None:
    Stage(tables).set(opens_at=rfc3339(NOW + 300), closes_at=rfc3339(NOW + 600))
    stage, calls = counted(tables)
    states = [live(stage, NOW + after).drops[0].state for after in (0, 299, 300, 599, 600)]
    assert states == [DropState.SCHEDULED] * 2 + [DropState.OPEN] * 2 + [DropState.CLOSED]
    assert calls == {"query": 1, "batch_get_item": 1}


def test_the_digest_changes_with_what_is_shown_and_not_with_time(tables: Tables) -> None:
    stage = Stage(tables).set()
    digests = [live(stage).digest, live(stage, NOW + 5 * SECOND).digest, live(Stage(tables), NOW).digest]
    assert len(set(digests)) == 1
    stage.shows.apply_cue(a_cue(CueType.OPEN), NOW)
    opened = live(stage).digest
    hold(stage, "x")
    held = live(stage, NOW + SECOND).digest
    assert len({digests[0], opened, held}) == 3


def test_a_missing_summary_is_made_anew(tables: Tables) -> None:
    stage = Stage(tables).set()
    tables.dynamodb.delete_item(TableName=tables.commerce, Key={"pk": {"S": "DROP#d1"}, "sk": {"S": "LIVE"}})
    assert stage.seen().available == 3
