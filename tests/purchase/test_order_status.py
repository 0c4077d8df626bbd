from __future__ import annotations

from itertools import product

import pytest

from chalicelib.purchase import PurchaseState
from chalicelib.purchase.order_status import (
    TRANSITIONS,
    IllegalTransitionError,
    OrderStatus,
    check_transition,
    next_version,
    order_status_of,
)
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture


def test_every_status_is_reached_and_left_as_the_table_says() -> None:
    assert {
        status for transition in TRANSITIONS for status in transition.from_statuses | transition.to_statuses
    } == set(OrderStatus)
    final = set(OrderStatus) - {status for transition in TRANSITIONS for status in transition.from_statuses}
    assert final == {OrderStatus.CANCELLED}


def test_no_transition_reopens_an_order_or_leaves_a_cancelled_purchase(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    assert order_status_of(paid) is OrderStatus.PAID
    for state in set(PurchaseState) - {PurchaseState.PAID}:
        with pytest.raises(IllegalTransitionError):
            next_version(paid, NOW, state=state)
    cancelled = paid.model_copy(update={"state": PurchaseState.CANCELLED})
    for state in PurchaseState:
        with pytest.raises(IllegalTransitionError):
            check_transition(cancelled, paid.model_copy(update={"state": state}))


def test_transition_that_the_table_lacks_is_refused(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    allowed = {
        (from_status, after)
        for transition in TRANSITIONS
        for from_status in transition.from_statuses
        for after in transition.to_statuses or {from_status}
    }
    for before, after in product(PurchaseState, PurchaseState):
        purchases = [placed.model_copy(update={"state": state}) for state in (before, after)]
        pair = (order_status_of(purchases[0]), order_status_of(purchases[1]))
        if pair in allowed:
            check_transition(*purchases)
        else:
            with pytest.raises(IllegalTransitionError):
                check_transition(*purchases)
