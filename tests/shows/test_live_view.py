"""What watchers and buyers are shown: true to the instant, read once a second, cheap at any size."""

from __future__ import annotations

from collections import Counter

from chalicelib.instants import SECOND, rfc3339
from chalicelib.shows import CueType, DropState, LiveShow
from chalicelib.stock import hold_id
from tests.builders.shows import NOW, ShowFixture, a_cue, a_drop_request
from tests.conftest import Tables
from tests.fakes.hooked_client import HookedClient

EXPIRES_AT = NOW // SECOND + 60


def counting_fixture(tables: Tables) -> tuple[ShowFixture, Counter[str]]:
    """A show_fixture, and how often it called AWS."""
    calls: Counter[str] = Counter()

    def note(number: int, operation: str) -> None:
        calls[operation] += 1

    return ShowFixture(tables, HookedClient(tables.dynamodb, before=note)), calls


def live(show_fixture: ShowFixture, now: int = NOW) -> LiveShow:
    seen = show_fixture.shows.live("s1", now)
    assert seen is not None
    return seen


def take_hold(show_fixture: ShowFixture, purchase: str, quantity: int = 1) -> None:
    show_fixture.stock.take(
        show_fixture.drop().pool, hold_id(purchase, "d1", 1, quantity), quantity, EXPIRES_AT, None, now=NOW
    )
    show_fixture.stock.refresh(show_fixture.drop().pool, NOW)


def test_nothing_is_known_of_what_does_not_exist(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    assert (show_fixture.shows.live("s9", NOW), show_fixture.shows.offer("d9", NOW), show_fixture.shows.drop("d9")) == (
        None,
        None,
        None,
    )


def test_an_offer_costs_one_query_a_second(tables: Tables) -> None:
    ShowFixture(tables).with_drop(opens_at=rfc3339(NOW))
    show_fixture, calls = counting_fixture(tables)
    offers = [show_fixture.shows.offer("d1", NOW + after) for after in (0, 1, 999, 1_000)]
    assert calls == {"query": 2}
    assert [(offer.drop.id, offer.summary.available) for offer in offers if offer] == [("d1", 3)] * 4


def test_a_drop_that_waits_for_its_cue_is_read_five_times_a_second(tables: Tables) -> None:
    ShowFixture(tables).with_drop()
    show_fixture, calls = counting_fixture(tables)
    opened: list[int | None] = []
    for after in range(0, 1_000, 50):
        if after == 400:
            ShowFixture(tables).shows.apply_cue(a_cue(CueType.OPEN), NOW)  # in another process
        offer = show_fixture.shows.offer("d1", NOW + after)
        assert offer is not None
        opened.append(offer.drop.opens_at)
    assert opened == [None] * 8 + [NOW] * 12
    assert calls == {"query": 3}


def test_a_show_costs_one_query_and_one_batch_for_fifty_drops_a_second(tables: Tables) -> None:
    setting = ShowFixture(tables).with_drop()
    for number in range(51):
        setting.shows.put_drop(f"more-{number:02}", a_drop_request(), "ann", NOW)
    show_fixture, calls = counting_fixture(tables)
    assert len(live(show_fixture).drops) == 52
    live(show_fixture, NOW + 999)
    assert calls == {"query": 1, "batch_get_item": 2}


def test_what_is_held_is_shown_with_the_next_lapse(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    take_hold(show_fixture, "x", 2)
    seen = show_fixture.live_drop()
    assert (seen.available, seen.held, seen.sold, seen.size, seen.next_lapse_at) == (1, 2, 0, 3, EXPIRES_AT * SECOND)


def test_a_lapse_that_nothing_told_of_is_shown(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    take_hold(show_fixture, "x", 3)
    lapsed = EXPIRES_AT * SECOND + 3 * SECOND
    seen = show_fixture.live_drop(lapsed)
    offer = ShowFixture(tables).shows.offer("d1", lapsed)
    assert (seen.available, seen.held, seen.next_lapse_at) == (3, 0, None)
    assert offer is not None
    assert offer.summary.available == 3


def test_a_window_turns_at_its_instant_though_the_rest_was_read_before(tables: Tables) -> None:
    ShowFixture(tables).with_drop(opens_at=rfc3339(NOW + 300), closes_at=rfc3339(NOW + 600))
    show_fixture, calls = counting_fixture(tables)
    states = [live(show_fixture, NOW + after).drops[0].state for after in (0, 299, 300, 599, 600)]
    assert states == [DropState.SCHEDULED] * 2 + [DropState.OPEN] * 2 + [DropState.CLOSED]
    assert calls == {"query": 1, "batch_get_item": 1}


def test_the_digest_changes_with_what_is_shown_and_not_with_time(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    digests = [
        live(show_fixture).digest,
        live(show_fixture, NOW + 5 * SECOND).digest,
        live(ShowFixture(tables), NOW).digest,
    ]
    assert len(set(digests)) == 1
    show_fixture.shows.apply_cue(a_cue(CueType.OPEN), NOW)
    opened = live(show_fixture).digest
    take_hold(show_fixture, "x")
    held = live(show_fixture, NOW + SECOND).digest
    assert len({digests[0], opened, held}) == 3


def test_a_missing_summary_is_made_anew(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    tables.dynamodb.delete_item(TableName=tables.commerce, Key={"pk": {"S": "DROP#d1"}, "sk": {"S": "LIVE"}})
    assert show_fixture.live_drop().available == 3
