"""When all is quiet the live summary is true, whoever refreshed it meanwhile, and however slowly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.aws import to_item
from chalicelib.stock import OrderRef, Stock, Taken, hold_id
from chalicelib.stock.store import StockStore
from tests.schedules.buckets import LAYOUT, Buckets
from tests.schedules.search import Search, in_parts
from tests.schedules.stage import FAULTS, Actor


class Watched(Buckets):
    """One buyer, and refreshes as the stream's function makes them: each delivered again until it gets through."""

    def buys(self) -> None:
        """Takes, then gives back or buys: what one refresh saw is soon over, and may soon be so again."""
        for turn in range(3):
            answer = self.stock.take(
                LAYOUT, hold_id("eve", "d", turn, 1), 1, self.seconds + 5, None, now=self.stage.now
            )
            if isinstance(answer, Taken):
                self.stage.happened["taken"] += 1
                if self.random.random() < 0.7:
                    self.stock.release(LAYOUT, answer.hold)
                else:
                    self.stock.sell(LAYOUT, answer.hold, 1, OrderRef(f"order-{turn:03d}", 1))

    def refreshes(self, buyer: Actor, *, afterwards: bool) -> Callable[[], None]:
        stock = self.process()

        def play() -> None:
            while afterwards and not buyer.done:
                self.stage.let_others()
            while True:
                try:
                    stock.refresh(LAYOUT, self.stage.now)
                except ReadTimeoutError:
                    continue
                if buyer.done:
                    return

        return play

    def is_told(self) -> None:
        told = self.stock.summary("d")
        assert told is not None
        held = sum(entry["q"] for bucket in self.buckets for entry in bucket["h"].values() if "u" in entry)
        true = (self.size, self.unsold() - held, held, self.size - self.unsold())
        assert (told.size, told.available, told.held, told.sold) == true, "the live summary is not true"


def play(seed: int, faults: str) -> Mapping[str, int]:
    """Two refreshes or more while there is a buyer, and one for what the buyer did last."""
    world = Watched(seed)
    buyer = world.stage.actor(world.buys)
    for afterwards in (False, False, True):
        world.stage.actor(world.refreshes(buyer, afterwards=afterwards), FAULTS[faults])
    world.stage.play()
    world.is_told()
    return world.stage.happened


@in_parts(60)
@pytest.mark.parametrize("faults", FAULTS)
def test_when_all_is_quiet_the_live_summary_is_true(search: Search, faults: str, seeds: range) -> None:
    search.finds_nothing(f"summaries at rest, {faults}", seeds, lambda seed: play(seed, faults), met=["taken"])


def test_the_search_catches_summaries_that_ask_for_no_older_one(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def anyway(self: StockStore, table: str, item: Mapping[str, Any], condition: str, values: Any) -> bool:
        self._dynamodb.put_item(TableName=table, Item=to_item(item), ConditionExpression="attribute_not_exists(no)")
        return True

    monkeypatch.setattr(StockStore, "_put", anyway)
    search.catches("summaries that ask for no older one", 500, lambda seed: play(seed, "doubled"), times=10)


class _Slow:
    """A client for which things happen right before it puts."""

    def __init__(self, client: Any, meanwhile: Callable[[], object]) -> None:
        self._client, self._meanwhile = client, meanwhile

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def put_item(self, **call: Any) -> Any:
        self._meanwhile()
        return self._client.put_item(**call)


def test_a_slow_refresh_puts_no_older_sums_over_what_a_later_one_found() -> None:
    world = Watched(0)

    def meanwhile() -> None:
        assert isinstance(taken, Taken)
        world.stock.release(LAYOUT, taken.hold)
        assert world.stock.refresh(LAYOUT, world.stage.now).held == 0

    taken = world.stock.take(LAYOUT, hold_id("ada", "d", 1, 1), 1, world.seconds + 300, None, now=world.stage.now)
    slow: Any = _Slow(world.stage.client, meanwhile)
    Stock(slow, "stock", "commerce").refresh(LAYOUT, world.stage.now)
    world.is_told()
