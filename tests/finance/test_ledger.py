"""The ledger in S3."""

from __future__ import annotations

from datetime import date

from chalicelib.finance import entries_of
from tests.builders.paid_orders import NEXT_DAY, TIME_ZONE, a_paid_line, a_paid_order, with_refund
from tests.finance.conftest import FinanceFixture

DAY = date(2026, 11, 27)


def test_batch_is_one_object_for_each_day(finance: FinanceFixture) -> None:
    order = with_refund(a_paid_order(), ("li_1", 1), done_at=NEXT_DAY)
    keys = finance.ledger.post_entries(entries_of(order, TIME_ZONE))
    assert [key.rpartition("/")[0] for key in keys] == ["ledger/date=2026-11-27", "ledger/date=2026-11-28"]
    assert finance.keys() == keys


def test_repeated_batch_overwrites_its_own_object(finance: FinanceFixture) -> None:
    entries = entries_of(a_paid_order(), TIME_ZONE)
    first = finance.ledger.post_entries(entries)
    before = finance.contents("ledger/")
    assert finance.ledger.post_entries(reversed(entries)) == first
    assert finance.contents("ledger/") == before


def test_entry_in_two_batches_is_read_once(finance: FinanceFixture) -> None:
    one, other = a_paid_order("P1"), a_paid_order("P2")
    finance.ledger.post_entries(entries_of(one, TIME_ZONE))
    finance.ledger.post_entries([*entries_of(one, TIME_ZONE), *entries_of(other, TIME_ZONE)])
    snapshot = finance.ledger.read(finance.ledger.list_keys(DAY))
    assert len(snapshot.keys) == 2
    assert snapshot.conflicts == set()
    assert sorted(snapshot.entries) == [
        "P1.sale.li_1",
        "P1.shipping",
        "P2.sale.li_1",
        "P2.shipping",
    ]
    assert [snapshot.entries[entry.id] for entry in entries_of(one, TIME_ZONE)] == list(entries_of(one, TIME_ZONE))


def test_two_entries_of_one_id_are_a_conflict_that_every_reader_resolves_alike(finance: FinanceFixture) -> None:
    finance.ledger.post_entries(entries_of(a_paid_order(), TIME_ZONE))
    finance.ledger.post_entries(entries_of(a_paid_order(lines=(a_paid_line(quantity=3),)), TIME_ZONE))
    keys = finance.ledger.list_keys(DAY)
    snapshot = finance.ledger.read(keys)
    assert snapshot.conflicts == {"P1.sale.li_1"}
    assert finance.ledger.read(reversed(keys)).entries == snapshot.entries


def test_line_separators_inside_a_name_do_not_break_a_row(finance: FinanceFixture) -> None:
    entries = entries_of(a_paid_order(lines=(a_paid_line(sku="a\u2028b\x85c"),)), TIME_ZONE)
    finance.ledger.post_entries(entries)
    assert finance.ledger.read(finance.ledger.list_keys(DAY)).entries == {entry.id: entry for entry in entries}


def test_no_entries_write_nothing(finance: FinanceFixture) -> None:
    assert finance.ledger.post_entries([]) == []
    assert finance.keys() == []
