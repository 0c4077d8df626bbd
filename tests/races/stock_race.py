"""A race for the units of one drop, by the stock room's own verbs: taken, sold, shrunk, released, held again, returned.

Each buyer writes down what it was told. Where an outcome stays unknown to it (its process died, or no answer came) it
writes down all that may be so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from random import Random
from typing import Any, Final

from chalicelib.stock import (
    AllHeld,
    Busy,
    Fewer,
    Layout,
    OrderRef,
    Sold,
    SoldOut,
    Stock,
    Summary,
    TakeAnswer,
    Taken,
    hold_id,
)
from chalicelib.stock.layout import home_of
from tests.conftest import EngineAccount
from tests.races.clock import Clock
from tests.races.crowd import asked
from tests.races.judge import judged, read_buckets, sold_by_order
from tests.races.network import NO_FAULTS, Faults, Network

NOW: Final = 1_800_000_000_000
HOLD_SECONDS: Final = 10
QUANTITIES: Final = (1, 1, 1, 2, 2, 3, 4, 5)
GIVES_UP: Final = 12
"""Refusals in a row, all holds having lapsed, after which late buyers stop asking: what is left is stranded."""


@dataclass(frozen=True, slots=True)
class Race:
    """One drop and those who want it. ``undoing``: sales are also held again and returned. ``apart``: the control."""

    account: EngineAccount
    stock_table: str
    commerce_table: str
    drop_id: str
    sizes: tuple[int, ...]
    buyers: int
    seed: str
    undoing: bool = False
    apart: bool = False

    @property
    def units(self) -> int:
        return sum(self.sizes)

    @property
    def layout(self) -> Layout:
        return Layout(self.drop_id, len(self.sizes))


@dataclass
class Process:
    """What one process of a race has: a client and a memory of its own. ``told``: units that each order may have."""

    race: Race
    clock: Clock
    name: str
    faults: Faults
    figures: Counter[str] = field(default_factory=Counter)
    told: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        race = self.race
        self.client = client_of(race.account)
        seed = f"{race.seed}/{self.name}"
        self.network = Network(self.client, race.stock_table, self.faults, seed, apart=race.apart)
        self.stock = Stock(self.network, race.stock_table, race.commerce_table)  # type: ignore[arg-type]

    def buckets(self) -> list[Any]:
        return read_buckets(self.client, self.race.stock_table, self.race.layout)

    def take(self, name: str, quantity: int, known: Summary | None) -> Callable[[], TakeAnswer]:
        """A request for units. Sent again, it no longer claims to be a first try."""
        first = [known]

        def send() -> TakeAnswer:
            summary = first.pop() if first else None
            with self.clock.request() as now:
                until = now // 1000 + HOLD_SECONDS
                return self.stock.take(self.race.layout, name, quantity, until, summary, now=now)

        return send

    def note(self, answer: TakeAnswer | None) -> None:
        """Count an answer; a "sold out" is looked into where sales are final."""
        if isinstance(answer, Taken):
            self.figures["takes"] += 1
            self.figures["replays"] += answer.replay
            self.figures["strays"] += answer.hold.bucket != home_of(answer.hold.id, self.race.layout)
        elif answer is not None:
            self.figures[f"refused_{type(answer).__name__}"] += 1
        if isinstance(answer, SoldOut) and not self.race.undoing:
            self.figures["wrong_sold_out"] += sold_by_order(self.buckets()).total() < self.race.units

    def outcome(self) -> tuple[Counter[str], dict[str, set[int]]]:
        return self.figures + self.network.figures, self.told


@cache
def client_of(account: EngineAccount) -> Any:
    """This process's client of an engine."""
    return account.client("dynamodb")


def lay_out(race: Race) -> None:
    """The drop's buckets, before anybody comes."""
    stock = Stock(client_of(race.account), race.stock_table, race.commerce_table)
    stock.lay_out(race.drop_id, race.sizes, NOW)


def finish(race: Race, clock: Clock, told: dict[str, set[int]]) -> Counter[str]:
    """All holds have lapsed: late buyers come until they are told that it is sold out; then the books are opened."""
    process = Process(race, clock, "late", NO_FAULTS)
    process.told = told
    clock.let_pass(1_000 * HOLD_SECONDS * 20)
    random, wanted, refused = Random(race.seed), 1, 0
    for late in range(20 * race.units):
        if refused == GIVES_UP:
            break
        wanted = wanted or random.choice(QUANTITIES)
        hold = hold_id(f"{race.drop_id}/late/{late}", race.drop_id, 1, wanted)
        answer = asked(process.take(hold, wanted, None))
        process.note(answer)
        wanted = 0
        match answer:
            case SoldOut():
                break
            case Fewer(quantity):
                wanted = quantity
            case AllHeld() | Busy():
                refused += 1
                clock.let_pass(1_500)
            case Taken(taken):
                refused = 0
                order = OrderRef(f"L{late:08d}", 1)
                sold = asked(partial(process.stock.sell, race.layout, taken, taken.quantity, order))
                process.told[order.order] = {sold.quantity if isinstance(sold, Sold) else 0}
    return process.outcome()[0] + judged(process.buckets(), race.units, told)
