"""Live views and offers: exact at each instant, read once a second, cheap at any size."""

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
    """Return a fixture, and the count of its AWS calls by operation."""
    calls: Counter[str] = Counter()

    def count_call(number: int, operation: str) -> None:
        calls[operation] += 1

    return ShowFixture(tables, HookedClient(tables.dynamodb, before=count_call)), calls


def live(show_fixture: ShowFixture, now: int = NOW) -> LiveShow:
    view = show_fixture.shows.live("s1", now)
    assert view is not None
    return view


def take_hold(show_fixture: ShowFixture, purchase: str, quantity: int = 1) -> None:
    show_fixture.stock.take(
        show_fixture.drop().pool, hold_id(purchase, "d1", 1, quantity), quantity, EXPIRES_AT, None, now=NOW
    )
    show_fixture.stock.refresh(show_fixture.drop().pool, NOW)


def test_unknown_show_and_drop_are_none(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    assert (show_fixture.shows.live("s9", NOW), show_fixture.shows.offer("d9", NOW), show_fixture.shows.drop("d9")) == (
        None,
        None,
        None,
    )


def test_offer_costs_one_query_a_second(tables: Tables) -> None:
    ShowFixture(tables).with_drop(opens_at=rfc3339(NOW))
    show_fixture, calls = counting_fixture(tables)
    offers = [show_fixture.shows.offer("d1", NOW + after) for after in (0, 1, 999, 1_000)]
    assert calls == {"query": 2}
    assert [(offer.drop.id, offer.summary.available) for offer in offers if offer] == [("d1", 3)] * 4


def test_drop_that_waits_for_its_cue_is_read_five_times_a_second(tables: Tables) -> None:
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


def test_live_view_costs_one_query_and_one_batch_for_fifty_drops_a_second(tables: Tables) -> None:
    other_process = ShowFixture(tables).with_drop()
    for number in range(51):
        other_process.shows.put_drop(f"more-{number:02}", a_drop_request(), "ann", NOW)
    show_fixture, calls = counting_fixture(tables)
    assert len(live(show_fixture).drops) == 52
    live(show_fixture, NOW + 999)
    assert calls == {"query": 1, "batch_get_item": 2}


def test_held_units_are_shown_with_their_next_expiry(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    take_hold(show_fixture, "x", 2)
    drop = show_fixture.live_drop()
    assert (drop.available, drop.held, drop.sold, drop.size, drop.next_lapse_at) == (1, 2, 0, 3, EXPIRES_AT * SECOND)


def test_expiry_without_a_stream_record_is_shown(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    take_hold(show_fixture, "x", 3)
    after_expiry = EXPIRES_AT * SECOND + 3 * SECOND
    drop = show_fixture.live_drop(after_expiry)
    offer = ShowFixture(tables).shows.offer("d1", after_expiry)
    assert (drop.available, drop.held, drop.next_lapse_at) == (3, 0, None)
    assert offer is not None
    assert offer.summary.available == 3


def test_window_opens_and_closes_at_its_instant_in_a_cached_view(tables: Tables) -> None:
    ShowFixture(tables).with_drop(opens_at=rfc3339(NOW + 300), closes_at=rfc3339(NOW + 600))
    show_fixture, calls = counting_fixture(tables)
    states = [live(show_fixture, NOW + after).drops[0].state for after in (0, 299, 300, 599, 600)]
    assert states == [DropState.SCHEDULED] * 2 + [DropState.OPEN] * 2 + [DropState.CLOSED]
    assert calls == {"query": 1, "batch_get_item": 1}


def test_digest_changes_with_the_content_and_not_with_time(tables: Tables) -> None:
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


def test_missing_summary_is_computed_again(tables: Tables) -> None:
    show_fixture = ShowFixture(tables).with_drop()
    tables.dynamodb.delete_item(TableName=tables.commerce, Key={"pk": {"S": "DROP#d1"}, "sk": {"S": "LIVE"}})
    assert show_fixture.live_drop().available == 3
