from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from chalicelib.checkout import PurchaseState
from chalicelib.checkout.states import MOVES, ImpossibleMoveError, OrderStatus, as_table, check_move, order_status_of
from chalicelib.checkout.till import next_version
from tests.checkout.builders import NOW
from tests.checkout.conftest import ShopFixture

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_table_as_the_code_has_it() -> None:
    assert as_table() in README.read_text(), f"put this into README.md:\n{as_table()}"


def test_every_state_is_reached_and_left_as_the_table_says() -> None:
    assert {one for move in MOVES for one in move.before | move.after} == set(OrderStatus)
    final = set(OrderStatus) - {one for move in MOVES for one in move.before}
    assert final == {OrderStatus.CANCELLED}


def test_no_move_leads_back_from_an_order_nor_out_of_a_cancelled_purchase(shop: ShopFixture) -> None:
    shop.drop("mug")
    paid = shop.paid(("mug", 1))
    assert order_status_of(paid) is OrderStatus.PAID
    for state in set(PurchaseState) - {PurchaseState.PAID}:
        with pytest.raises(ImpossibleMoveError):
            next_version(paid, NOW, state=state)
    cancelled = paid.model_copy(update={"state": PurchaseState.CANCELLED})
    for state in PurchaseState:
        with pytest.raises(ImpossibleMoveError):
            check_move(cancelled, paid.model_copy(update={"state": state}))


def test_what_the_table_lacks_is_refused(shop: ShopFixture) -> None:
    shop.drop("mug")
    placed = shop.placed(("mug", 1))
    had = {(was, after) for move in MOVES for was in move.before for after in move.after or {was}}
    for before, after in product(PurchaseState, PurchaseState):
        purchases = [placed.model_copy(update={"state": state}) for state in (before, after)]
        pair = (order_status_of(purchases[0]), order_status_of(purchases[1]))
        if pair in had:
            check_move(*purchases)
        else:
            with pytest.raises(ImpossibleMoveError):
                check_move(*purchases)
