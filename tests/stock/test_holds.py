"""Each verb on a hold: its write, its refusals, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import InvariantBroken, Unavailable
from chalicelib.stock import Committed, HoldGone, HoldStatus, Pool, RevertedToHold, StaleEpoch, Taken
from tests.builders.stock import EXPIRES_AT, NEXT_EPOCH, NOW, ORDER, OTHER_ORDER, SECONDS, StockFixture
from tests.conftest import Tables


@pytest.fixture
def fixture(tables: Tables) -> StockFixture:
    return StockFixture(tables, [4])


@pytest.fixture
def name(fixture: StockFixture) -> str:
    return next(fixture.ids(0))


def test_a_commit_keeps_the_bought_units_and_releases_the_surplus(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 3)
    assert fixture.stock.commit(fixture.pool, hold, 2, ORDER) == Committed(2)
    assert fixture.bucket(0) == {"a": 2, "s": 4, "h": {name: {"q": 2, "o": "order-abc001"}}}


def test_a_repeated_commit_changes_nothing(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 3)
    fixture.stock.commit(fixture.pool, hold, 2, ORDER)
    before = fixture.bucket(0)
    assert fixture.stock.commit(fixture.pool, hold, 2, ORDER) == Committed(2)
    assert fixture.bucket(0) == before


def test_a_commit_of_another_quantity_at_the_same_epoch_is_refused(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 3)
    fixture.stock.commit(fixture.pool, hold, 3, ORDER)
    before = fixture.bucket(0)
    assert fixture.stock.commit(fixture.pool, hold, 2, ORDER) == StaleEpoch()
    assert fixture.bucket(0) == before


def test_an_expired_hold_nobody_reclaimed_still_buys(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 1, expires_at=SECONDS - 1_000)
    assert fixture.stock.commit(fixture.pool, hold, 1, ORDER) == Committed(1)


def test_a_hold_that_another_buyer_reclaimed_is_gone(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 4, expires_at=SECONDS - 10)
    other = next(other for other in fixture.ids(0) if other != name)
    fixture.hold(other, 4)
    before = fixture.bucket(0)
    assert fixture.stock.commit(fixture.pool, hold, 4, ORDER) == HoldGone()
    assert fixture.stock.revert_to_hold(fixture.pool, hold, ORDER, EXPIRES_AT) == HoldGone()
    assert fixture.bucket(0) == before == {"a": 0, "s": 4, "h": {other: {"q": 4, "u": EXPIRES_AT}}}


def test_a_commit_retries_when_the_hold_was_renewed(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    fixture.stock.shrink(fixture.pool, hold, 2, EXPIRES_AT + 60)
    assert fixture.stock.commit(fixture.pool, hold, 2, ORDER) == Committed(2)


def test_a_commit_that_lands_after_its_epoch_was_reverted_is_refused(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    fixture.stock.commit(fixture.pool, hold, 2, ORDER)
    assert fixture.stock.revert_to_hold(fixture.pool, hold, ORDER, EXPIRES_AT + 9) == RevertedToHold(EXPIRES_AT + 9)
    assert fixture.stock.revert_to_hold(fixture.pool, hold, ORDER, EXPIRES_AT + 9) == RevertedToHold(EXPIRES_AT + 9)
    before = fixture.bucket(0)
    assert before["h"][name] == {"q": 2, "u": EXPIRES_AT + 9, "o": "order-abc001"}
    assert fixture.stock.commit(fixture.pool, hold, 2, ORDER) == StaleEpoch()
    assert fixture.bucket(0) == before
    assert fixture.stock.commit(fixture.pool, hold, 2, NEXT_EPOCH) == Committed(2)


def test_an_earlier_epoch_neither_commits_nor_reverts_nor_releases(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    fixture.stock.commit(fixture.pool, hold, 2, NEXT_EPOCH)
    before = fixture.bucket(0)
    assert fixture.stock.commit(fixture.pool, hold, 2, ORDER) == StaleEpoch()
    assert fixture.stock.revert_to_hold(fixture.pool, hold, ORDER, EXPIRES_AT) == StaleEpoch()
    assert fixture.stock.release(fixture.pool, hold, ORDER) is False
    assert fixture.bucket(0) == before


def test_another_order_can_do_nothing(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    fixture.stock.commit(fixture.pool, hold, 2, ORDER)
    before = fixture.bucket(0)
    assert fixture.stock.commit(fixture.pool, hold, 2, OTHER_ORDER) == HoldGone()
    assert fixture.stock.revert_to_hold(fixture.pool, hold, OTHER_ORDER, EXPIRES_AT) == HoldGone()
    assert fixture.stock.release(fixture.pool, hold, OTHER_ORDER) is False
    assert fixture.stock.restock(fixture.pool, hold, OTHER_ORDER, 2, 0) is False
    assert fixture.bucket(0) == before


def test_a_hold_not_yet_committed_can_be_reverted_at_its_epoch(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    assert fixture.stock.revert_to_hold(fixture.pool, hold, ORDER, EXPIRES_AT + 9) == RevertedToHold(EXPIRES_AT + 9)
    assert fixture.bucket(0)["h"][name] == {"q": 2, "u": EXPIRES_AT + 9, "o": "order-abc001"}


def test_releasing_makes_units_available_once(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    assert fixture.stock.release(fixture.pool, hold) is True
    assert fixture.stock.release(fixture.pool, hold) is True
    assert fixture.bucket(0) == {"a": 4, "s": 4, "h": {}}


def test_releasing_without_an_order_releases_no_unit_of_an_order(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 2)
    fixture.stock.revert_to_hold(fixture.pool, hold, ORDER, EXPIRES_AT)
    before = fixture.bucket(0)
    assert fixture.stock.release(fixture.pool, hold) is False
    assert fixture.bucket(0) == before
    assert fixture.stock.release(fixture.pool, hold, ORDER) is True
    assert fixture.bucket(0) == {"a": 4, "s": 4, "h": {}}


def test_shrinking_releases_units_and_converges_when_repeated(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 3)
    assert fixture.stock.shrink(fixture.pool, hold, 1) is True
    assert fixture.stock.shrink(fixture.pool, hold, 1) is True
    assert fixture.bucket(0) == {"a": 3, "s": 4, "h": {name: {"q": 1, "u": EXPIRES_AT}}}
    assert fixture.stock.shrink(fixture.pool, hold, 2) is False
    fixture.stock.commit(fixture.pool, hold, 1, ORDER)
    before = fixture.bucket(0)
    assert fixture.stock.shrink(fixture.pool, hold, 1) is False
    assert fixture.bucket(0) == before


def test_restocked_units_can_be_bought_again_and_a_repeat_converges(fixture: StockFixture, name: str) -> None:
    hold = fixture.hold(name, 3)
    fixture.stock.commit(fixture.pool, hold, 3, ORDER)
    assert fixture.stock.restock(fixture.pool, hold, ORDER, 3, 1) is True
    assert fixture.stock.restock(fixture.pool, hold, ORDER, 3, 1) is True
    assert fixture.bucket(0) == {"a": 3, "s": 4, "h": {name: {"q": 1, "o": "order-abc001"}}}
    assert fixture.stock.restock(fixture.pool, hold, ORDER, 1, 0) is True
    assert fixture.stock.restock(fixture.pool, hold, ORDER, 1, 0) is True
    tombstoned = {"a": 4, "s": 4, "h": {name: {"q": 0, "o": "order-abc001"}}}
    assert fixture.bucket(0) == tombstoned
    assert fixture.stock.commit(fixture.pool, hold, 3, NEXT_EPOCH) == HoldGone()
    assert fixture.stock.revert_to_hold(fixture.pool, hold, NEXT_EPOCH, EXPIRES_AT) == HoldGone()
    assert not isinstance(fixture.take(name, 3), Taken)
    assert fixture.bucket(0) == tombstoned


def test_a_tombstoned_hold_never_returns(fixture: StockFixture, name: str) -> None:
    assert fixture.stock.tombstone(fixture.pool, name) is True
    assert fixture.stock.tombstone(fixture.pool, name) is True
    assert not isinstance(fixture.take(name), Taken)
    assert fixture.bucket(0) == {"a": 4, "s": 4, "h": {name: {"q": 0}}}


def test_a_hold_with_units_cannot_be_tombstoned(fixture: StockFixture, name: str) -> None:
    fixture.hold(name)
    before = fixture.bucket(0)
    assert fixture.stock.tombstone(fixture.pool, name) is False
    assert fixture.bucket(0) == before


def test_every_verb_finds_a_hold_away_from_its_home(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 2])
    ids = fixture.ids(0)
    fixture.hold(next(ids))
    overflow_id = next(ids)
    hold = fixture.hold(overflow_id)
    assert hold.bucket == 1
    misled = type(hold)(hold.id, 0, hold.quantity, hold.expires_at)
    assert fixture.stock.get_hold_statuses([(fixture.pool, misled)]) == [HoldStatus(1, 1, EXPIRES_AT, None)]
    assert fixture.stock.revert_to_hold(fixture.pool, misled, ORDER, EXPIRES_AT) == RevertedToHold(EXPIRES_AT)
    assert fixture.stock.commit(fixture.pool, misled, 1, NEXT_EPOCH) == Committed(1)
    assert fixture.stock.restock(fixture.pool, misled, NEXT_EPOCH, 1, 0) is True
    assert fixture.bucket(1)["a"] == 2


def test_a_hold_away_from_home_is_tombstoned_in_both_buckets(tables: Tables) -> None:
    fixture = StockFixture(tables, [1, 1])
    ids = fixture.ids(0)
    fixture.hold(next(ids))
    overflow_id = next(ids)
    fixture.stock.release(fixture.pool, fixture.hold(overflow_id))
    assert fixture.stock.tombstone(fixture.pool, overflow_id) is True
    assert fixture.bucket(0)["h"][overflow_id] == {"q": 0}
    assert fixture.bucket(1)["h"][overflow_id] == {"q": 0}


def test_hold_statuses_come_in_the_order_asked_with_none_for_gone_holds(fixture: StockFixture) -> None:
    ids = fixture.ids(0)
    sold, held, gone = next(ids), next(ids), next(ids)
    refs = [fixture.hold(sold), fixture.hold(held), fixture.hold(gone)]
    fixture.stock.commit(fixture.pool, refs[0], 1, ORDER)
    fixture.stock.release(fixture.pool, refs[2])
    assert fixture.stock.get_hold_statuses([(fixture.pool, ref) for ref in refs]) == [
        HoldStatus(0, 1, None, "order-abc001"),
        HoldStatus(0, 1, EXPIRES_AT, None),
        None,
    ]
    assert fixture.stock.get_hold_statuses([]) == []


@pytest.mark.parametrize(("keep", "quantity"), [(0, 1), (2, 1)])
def test_committing_or_shrinking_to_an_impossible_quantity_raises(
    fixture: StockFixture, name: str, keep: int, quantity: int
) -> None:
    hold = fixture.hold(name, quantity)
    with pytest.raises(ValueError, match="cannot"):
        fixture.stock.commit(fixture.pool, hold, keep, ORDER)
    with pytest.raises(ValueError, match="cannot"):
        fixture.stock.shrink(fixture.pool, hold, keep)


def test_a_take_of_a_bucket_that_was_never_created_breaks_an_invariant(
    tables: Tables, fixture: StockFixture, name: str
) -> None:
    with pytest.raises(InvariantBroken):
        fixture.stock.take(Pool("unknown", 1), name, 1, EXPIRES_AT, None, now=NOW)


def test_a_write_that_conflicts_with_a_consolidation_is_retried(
    fixture: StockFixture, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, update = fixture.hold(name, 3), fixture.tables.dynamodb.update_item
    conflicts = iter([True, True])

    def conflicting(**call: Any) -> Any:
        if next(conflicts, False):
            raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, "UpdateItem")
        return update(**call)

    monkeypatch.setattr(fixture.tables.dynamodb, "update_item", conflicting)
    assert fixture.stock.commit(fixture.pool, hold, 3, ORDER) == Committed(3)
    conflicts = iter([True] * 5)
    with pytest.raises(Unavailable):
        fixture.stock.release(fixture.pool, hold, ORDER)
    assert fixture.stock.release(fixture.pool, hold, ORDER) is True
