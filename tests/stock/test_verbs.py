"""Each verb: what it writes, when it is refused, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.errors import Unavailable
from chalicelib.stock import Committed, HoldGone, HoldStatus, Pool, RevertedToHold, StaleEpoch, Taken
from tests.conftest import Tables
from tests.stock.builders import NEXT, NOW, ORDER, OTHER, SECONDS, UNTIL, Shelf


@pytest.fixture
def shelf(tables: Tables) -> Shelf:
    return Shelf(tables, [4])


@pytest.fixture
def name(shelf: Shelf) -> str:
    return next(shelf.ids(0))


def test_a_sale_keeps_what_was_bought_and_gives_the_surplus_back(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 3)
    assert shelf.stock.commit(shelf.layout, hold, 2, ORDER) == Committed(2)
    assert shelf.bucket(0) == {"a": 2, "s": 4, "h": {name: {"q": 2, "o": "order-abc001"}}}


def test_a_repeated_sale_is_the_same_sale(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 3)
    shelf.stock.commit(shelf.layout, hold, 2, ORDER)
    before = shelf.bucket(0)
    assert shelf.stock.commit(shelf.layout, hold, 2, ORDER) == Committed(2)
    assert shelf.bucket(0) == before


def test_a_sale_of_another_quantity_at_the_same_epoch_is_refused(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 3)
    shelf.stock.commit(shelf.layout, hold, 3, ORDER)
    before = shelf.bucket(0)
    assert shelf.stock.commit(shelf.layout, hold, 2, ORDER) == StaleEpoch()
    assert shelf.bucket(0) == before


def test_an_expired_hold_nobody_reclaimed_still_buys(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 1, until=SECONDS - 1_000)
    assert shelf.stock.commit(shelf.layout, hold, 1, ORDER) == Committed(1)


def test_a_hold_somebody_reclaimed_is_gone(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 4, until=SECONDS - 10)
    other = next(other for other in shelf.ids(0) if other != name)
    shelf.hold(other, 4)
    before = shelf.bucket(0)
    assert shelf.stock.commit(shelf.layout, hold, 4, ORDER) == HoldGone()
    assert shelf.stock.revert_to_hold(shelf.layout, hold, ORDER, UNTIL) == HoldGone()
    assert shelf.bucket(0) == before == {"a": 0, "s": 4, "h": {other: {"q": 4, "u": UNTIL}}}


def test_a_sale_looks_again_when_the_hold_was_renewed(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    shelf.stock.shrink(shelf.layout, hold, 2, UNTIL + 60)
    assert shelf.stock.commit(shelf.layout, hold, 2, ORDER) == Committed(2)


def test_a_sale_that_lands_after_its_epoch_was_held_again_is_refused(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    shelf.stock.commit(shelf.layout, hold, 2, ORDER)
    assert shelf.stock.revert_to_hold(shelf.layout, hold, ORDER, UNTIL + 9) == RevertedToHold(UNTIL + 9)
    assert shelf.stock.revert_to_hold(shelf.layout, hold, ORDER, UNTIL + 9) == RevertedToHold(UNTIL + 9)
    before = shelf.bucket(0)
    assert before["h"][name] == {"q": 2, "u": UNTIL + 9, "o": "order-abc001"}
    assert shelf.stock.commit(shelf.layout, hold, 2, ORDER) == StaleEpoch()
    assert shelf.bucket(0) == before
    assert shelf.stock.commit(shelf.layout, hold, 2, NEXT) == Committed(2)


def test_an_earlier_epoch_neither_sells_nor_holds_again_nor_releases(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    shelf.stock.commit(shelf.layout, hold, 2, NEXT)
    before = shelf.bucket(0)
    assert shelf.stock.commit(shelf.layout, hold, 2, ORDER) == StaleEpoch()
    assert shelf.stock.revert_to_hold(shelf.layout, hold, ORDER, UNTIL) == StaleEpoch()
    assert shelf.stock.release(shelf.layout, hold, ORDER) is False
    assert shelf.bucket(0) == before


def test_another_order_can_do_nothing(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    shelf.stock.commit(shelf.layout, hold, 2, ORDER)
    before = shelf.bucket(0)
    assert shelf.stock.commit(shelf.layout, hold, 2, OTHER) == HoldGone()
    assert shelf.stock.revert_to_hold(shelf.layout, hold, OTHER, UNTIL) == HoldGone()
    assert shelf.stock.release(shelf.layout, hold, OTHER) is False
    assert shelf.stock.restock(shelf.layout, hold, OTHER, 2, 0) is False
    assert shelf.bucket(0) == before


def test_a_hold_not_yet_sold_may_be_held_again_at_the_epoch(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    assert shelf.stock.revert_to_hold(shelf.layout, hold, ORDER, UNTIL + 9) == RevertedToHold(UNTIL + 9)
    assert shelf.bucket(0)["h"][name] == {"q": 2, "u": UNTIL + 9, "o": "order-abc001"}


def test_releasing_makes_units_available_once(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    assert shelf.stock.release(shelf.layout, hold) is True
    assert shelf.stock.release(shelf.layout, hold) is True
    assert shelf.bucket(0) == {"a": 4, "s": 4, "h": {}}


def test_releasing_without_an_order_frees_nothing_of_an_order(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 2)
    shelf.stock.revert_to_hold(shelf.layout, hold, ORDER, UNTIL)
    before = shelf.bucket(0)
    assert shelf.stock.release(shelf.layout, hold) is False
    assert shelf.bucket(0) == before
    assert shelf.stock.release(shelf.layout, hold, ORDER) is True
    assert shelf.bucket(0) == {"a": 4, "s": 4, "h": {}}


def test_shrinking_gives_units_back_and_converges_when_repeated(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 3)
    assert shelf.stock.shrink(shelf.layout, hold, 1) is True
    assert shelf.stock.shrink(shelf.layout, hold, 1) is True
    assert shelf.bucket(0) == {"a": 3, "s": 4, "h": {name: {"q": 1, "u": UNTIL}}}
    assert shelf.stock.shrink(shelf.layout, hold, 2) is False
    shelf.stock.commit(shelf.layout, hold, 1, ORDER)
    before = shelf.bucket(0)
    assert shelf.stock.shrink(shelf.layout, hold, 1) is False
    assert shelf.bucket(0) == before


def test_given_back_units_can_be_sold_again_and_a_repeat_converges(shelf: Shelf, name: str) -> None:
    hold = shelf.hold(name, 3)
    shelf.stock.commit(shelf.layout, hold, 3, ORDER)
    assert shelf.stock.restock(shelf.layout, hold, ORDER, 3, 1) is True
    assert shelf.stock.restock(shelf.layout, hold, ORDER, 3, 1) is True
    assert shelf.bucket(0) == {"a": 3, "s": 4, "h": {name: {"q": 1, "o": "order-abc001"}}}
    assert shelf.stock.restock(shelf.layout, hold, ORDER, 1, 0) is True
    assert shelf.stock.restock(shelf.layout, hold, ORDER, 1, 0) is True
    dead = {"a": 4, "s": 4, "h": {name: {"q": 0, "o": "order-abc001"}}}
    assert shelf.bucket(0) == dead
    assert shelf.stock.commit(shelf.layout, hold, 3, NEXT) == HoldGone()
    assert shelf.stock.revert_to_hold(shelf.layout, hold, NEXT, UNTIL) == HoldGone()
    assert not isinstance(shelf.take(name, 3), Taken)
    assert shelf.bucket(0) == dead


def test_a_hold_marked_dead_never_comes_back(shelf: Shelf, name: str) -> None:
    assert shelf.stock.tombstone(shelf.layout, name) is True
    assert shelf.stock.tombstone(shelf.layout, name) is True
    assert not isinstance(shelf.take(name), Taken)
    assert shelf.bucket(0) == {"a": 4, "s": 4, "h": {name: {"q": 0}}}


def test_a_standing_hold_cannot_be_marked_dead(shelf: Shelf, name: str) -> None:
    shelf.hold(name)
    before = shelf.bucket(0)
    assert shelf.stock.tombstone(shelf.layout, name) is False
    assert shelf.bucket(0) == before


def test_every_verb_finds_a_stray_from_its_home(tables: Tables) -> None:
    shelf = Shelf(tables, [1, 2])
    ids = shelf.ids(0)
    shelf.hold(next(ids))
    stray = next(ids)
    hold = shelf.hold(stray)
    assert hold.bucket == 1
    misled = type(hold)(hold.id, 0, hold.quantity, hold.expires_at)
    assert shelf.stock.get_hold_statuses([(shelf.layout, misled)]) == [HoldStatus(1, 1, UNTIL, None)]
    assert shelf.stock.revert_to_hold(shelf.layout, misled, ORDER, UNTIL) == RevertedToHold(UNTIL)
    assert shelf.stock.commit(shelf.layout, misled, 1, NEXT) == Committed(1)
    assert shelf.stock.restock(shelf.layout, misled, NEXT, 1, 0) is True
    assert shelf.bucket(1)["a"] == 2


def test_a_stray_marked_dead_is_dead_at_home_and_away(tables: Tables) -> None:
    shelf = Shelf(tables, [1, 1])
    ids = shelf.ids(0)
    shelf.hold(next(ids))
    stray = next(ids)
    shelf.stock.release(shelf.layout, shelf.hold(stray))
    assert shelf.stock.tombstone(shelf.layout, stray) is True
    assert shelf.bucket(0)["h"][stray] == {"q": 0}
    assert shelf.bucket(1)["h"][stray] == {"q": 0}


def test_looking_answers_each_hold_in_turn_and_none_for_the_gone(shelf: Shelf) -> None:
    ids = shelf.ids(0)
    sold, held, gone = next(ids), next(ids), next(ids)
    refs = [shelf.hold(sold), shelf.hold(held), shelf.hold(gone)]
    shelf.stock.commit(shelf.layout, refs[0], 1, ORDER)
    shelf.stock.release(shelf.layout, refs[2])
    assert shelf.stock.get_hold_statuses([(shelf.layout, ref) for ref in refs]) == [
        HoldStatus(0, 1, None, "order-abc001"),
        HoldStatus(0, 1, UNTIL, None),
        None,
    ]
    assert shelf.stock.get_hold_statuses([]) == []


@pytest.mark.parametrize(("keep", "quantity"), [(0, 1), (2, 1)])
def test_selling_or_shrinking_to_what_is_not_there_is_a_mistake(
    shelf: Shelf, name: str, keep: int, quantity: int
) -> None:
    hold = shelf.hold(name, quantity)
    with pytest.raises(ValueError, match="cannot"):
        shelf.stock.commit(shelf.layout, hold, keep, ORDER)
    with pytest.raises(ValueError, match="cannot"):
        shelf.stock.shrink(shelf.layout, hold, keep)


def test_a_bucket_that_was_never_laid_out_is_never_sold_out(tables: Tables, shelf: Shelf, name: str) -> None:
    with pytest.raises(Unavailable):
        shelf.stock.take(Pool("unknown", 1), name, 1, UNTIL, None, now=NOW)


def test_a_write_that_meets_units_on_the_move_is_made_again(
    shelf: Shelf, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, update = shelf.hold(name, 3), shelf.tables.dynamodb.update_item
    conflicts = iter([True, True])

    def conflicting(**call: Any) -> Any:
        if next(conflicts, False):
            raise ClientError({"Error": {"Code": "TransactionConflictException", "Message": ""}}, "UpdateItem")
        return update(**call)

    monkeypatch.setattr(shelf.tables.dynamodb, "update_item", conflicting)
    assert shelf.stock.commit(shelf.layout, hold, 3, ORDER) == Committed(3)
    conflicts = iter([True] * 5)
    with pytest.raises(Unavailable):
        shelf.stock.release(shelf.layout, hold, ORDER)
    assert shelf.stock.release(shelf.layout, hold, ORDER) is True
