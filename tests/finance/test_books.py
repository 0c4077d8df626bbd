"""The ledger in S3."""

from __future__ import annotations

from datetime import date

from chalicelib.finance import entries_of
from tests.finance.builders import NEXT_DAY, TIME_ZONE, a_paid_line, a_paid_order, refunded
from tests.finance.conftest import Office

DAY = date(2026, 11, 27)


def test_a_batch_is_one_object_for_each_day(office: Office) -> None:
    order = refunded(a_paid_order(), ("li_1", 1), done_at=NEXT_DAY)
    keys = office.ledger.post_entries(entries_of(order, TIME_ZONE))
    assert [key.rpartition("/")[0] for key in keys] == ["ledger/date=2026-11-27", "ledger/date=2026-11-28"]
    assert office.keys() == keys


def test_a_repeat_overwrites_its_own_object(office: Office) -> None:
    entries = entries_of(a_paid_order(), TIME_ZONE)
    first = office.ledger.post_entries(entries)
    before = office.contents("ledger/")
    assert office.ledger.post_entries(reversed(entries)) == first
    assert office.contents("ledger/") == before


def test_the_same_entry_in_two_batches_is_read_once(office: Office) -> None:
    one, other = a_paid_order("P1"), a_paid_order("P2")
    office.ledger.post_entries(entries_of(one, TIME_ZONE))
    office.ledger.post_entries([*entries_of(one, TIME_ZONE), *entries_of(other, TIME_ZONE)])
    snapshot = office.ledger.read(office.ledger.list_keys(DAY))
    assert len(snapshot.keys) == 2
    assert snapshot.conflicts == set()
    assert sorted(snapshot.entries) == ["P1-001", "P1-002", "P1-003", "P2-001", "P2-002", "P2-003"]
    assert tuple(snapshot.entries.values())[:3] == entries_of(one, TIME_ZONE)


def test_two_contents_under_one_id_are_a_conflict_and_every_reader_picks_the_same(office: Office) -> None:
    office.ledger.post_entries(entries_of(a_paid_order(), TIME_ZONE))
    office.ledger.post_entries(entries_of(a_paid_order(lines=(a_paid_line(quantity=3),)), TIME_ZONE))
    keys = office.ledger.list_keys(DAY)
    snapshot = office.ledger.read(keys)
    assert snapshot.conflicts == {"P1-001"}
    assert office.ledger.read(reversed(keys)).entries == snapshot.entries


def test_line_separators_inside_a_name_do_not_break_a_row(office: Office) -> None:
    entries = entries_of(a_paid_order(lines=(a_paid_line(sku="a\u2028b\x85c"),)), TIME_ZONE)
    office.ledger.post_entries(entries)
    assert tuple(office.ledger.read(office.ledger.list_keys(DAY)).entries.values()) == entries


def test_no_entries_write_nothing(office: Office) -> None:
    assert office.ledger.post_entries([]) == []
    assert office.keys() == []
