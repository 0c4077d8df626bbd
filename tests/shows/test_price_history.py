"""The earlier price is the lowest of the 30 days before a change (directive 98/6/EC, article 6a)."""

from __future__ import annotations

import pytest

from chalicelib.errors import Conflict
from chalicelib.instants import DAY, Instant
from chalicelib.shows.price_history import MAX_PAST_PRICES, price_change
from chalicelib.shows.records import DropRecord
from tests.builders.shows import NOW, a_drop_record


def reprice_purchase(record: DropRecord, amount: int, now: Instant) -> DropRecord:
    return record.model_copy(update=price_change(record, amount, now))


def test_price_before_a_reduction_is_the_earlier_price() -> None:
    record = reprice_purchase(a_drop_record(unit_price=5_000), 4_000, NOW)
    assert (record.unit_price, record.earlier_price) == (4_000, 5_000)


def test_raise_before_a_reduction_does_not_raise_the_earlier_price() -> None:
    raised = reprice_purchase(a_drop_record(unit_price=5_000), 9_000, NOW)
    assert reprice_purchase(raised, 4_500, NOW + DAY).earlier_price == 5_000


def test_lower_price_counts_until_thirty_days_after_its_end() -> None:
    raised = reprice_purchase(a_drop_record(unit_price=5_000), 9_000, NOW)
    assert reprice_purchase(raised, 4_000, NOW + 30 * DAY - 1).earlier_price == 5_000
    assert reprice_purchase(raised, 4_000, NOW + 30 * DAY).earlier_price == 9_000


def test_price_that_can_no_longer_be_the_lowest_is_dropped() -> None:
    record = a_drop_record(unit_price=5_000)
    for number, amount in enumerate([4_000, 3_000, 2_000]):
        record = reprice_purchase(record, amount, NOW + number)
    assert [price.amount for price in record.past_prices] == [3_000]


def test_history_that_is_too_long_is_refused_and_not_cut() -> None:
    record = a_drop_record(unit_price=100)
    for number in range(MAX_PAST_PRICES):
        record = reprice_purchase(record, 101 + number, NOW + number)
    with pytest.raises(Conflict) as refusal:
        reprice_purchase(record, 1_000, NOW + MAX_PAST_PRICES)
    assert refusal.value.field == "$.unit_price.amount"


def test_earlier_price_is_shown_beside_a_reduction_only() -> None:
    raised = reprice_purchase(a_drop_record(unit_price=5_000), 9_000, NOW)
    assert raised.price_reduced_from is None
    assert reprice_purchase(raised, 4_500, NOW + DAY).price_reduced_from == 5_000
    assert reprice_purchase(raised, 5_000, NOW + DAY).price_reduced_from is None
