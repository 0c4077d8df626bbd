"""A race for the units of one drop by the verbs on holds: take, commit, shrink, release, revert to hold, restock.

Each buyer records the units that its order may have. Where an outcome stays unknown, because its process died or no
answer came, it records every possibility.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import inf
from random import Random
from time import monotonic_ns
from typing import Any, Final

from chalicelib.instants import Instant
from chalicelib.stock import (
    AllHeld,
    Busy,
    Committed,
    InsufficientUnits,
    OrderRef,
    Pool,
    SoldOut,
    Stock,
    Summary,
    Taken,
    TakeResult,
    hold_id,
)
from chalicelib.stock.layout import home_of
from chalicelib.stock.summaries import MAX_SUMMARY_AGE
from tests.conftest import EmulatorAccount
from tests.races.buyers_pool import send_until_answered
from tests.races.faulty_client import NO_FAULTS, ClientFaultRates, FaultyClient
from tests.races.invariants import check_final_stock, read_buckets, sold_by_order
from tests.races.race_clock import RaceClock
from tests.races.sold_out_check import BucketWrite, SoldOutAnswer, count_false_answers

NOW: Final = 1_800_000_000_000
HOLD_SECONDS: Final = 10
QUANTITIES: Final = (1, 1, 1, 2, 2, 3, 4, 5)
LATE: Final = "late"
SUMMARY_CLOCK_LEAD_MS: Final = 100
"""A summary's instant may be this much ahead: each refresh advances it by at least one millisecond."""

MAX_REFUSALS: Final = 12
"""After this many refusals in a row, with all holds expired, late buyers stop: the units left are stranded."""


@dataclass(frozen=True, slots=True)
class StockRace:
    """One drop and its buyers. ``undoing``: sales are also reverted to holds and restocked.

    The controls are ``reads_then_writes`` and ``says_sold_out_when_held``.
    """

    account: EmulatorAccount
    stock_table: str
    commerce_table: str
    drop_id: str
    sizes: tuple[int, ...]
    buyers: int
    seed: str
    undoing: bool = False
    reads_then_writes: bool = False
    says_sold_out_when_held: bool = False

    @property
    def units(self) -> int:
        return sum(self.sizes)

    @property
    def pool(self) -> Pool:
        return Pool(self.drop_id, len(self.sizes))


@dataclass
class ProcessResults:
    """The results of one process. ``may_have_by_order`` has the units that each order may have."""

    figures: Counter[str] = field(default_factory=Counter)
    may_have_by_order: dict[str, set[int]] = field(default_factory=dict)
    sold_out: list[SoldOutAnswer] = field(default_factory=list)
    writes: list[BucketWrite] = field(default_factory=list)


@dataclass
class StockRaceProcess:
    """A process of a race, with its own client and caches."""

    race: StockRace
    clock: RaceClock
    name: str
    faults: ClientFaultRates
    results: ProcessResults = field(default_factory=ProcessResults)

    def __post_init__(self) -> None:
        race = self.race
        self.client = client_of(race.account)
        seed = f"{race.seed}/{self.name}"
        self.faulty_client = FaultyClient(
            self.client, race.stock_table, self.faults, seed, reads_then_writes=race.reads_then_writes
        )
        self.stock = Stock(self.faulty_client, race.stock_table, race.commerce_table)  # type: ignore[arg-type]
        self.figures, self.may_have_by_order = self.results.figures, self.results.may_have_by_order
        self._moments: list[tuple[Instant, int]] = []

    def buckets(self) -> list[Any]:
        return read_buckets(self.client, self.race.stock_table, self.race.pool)

    def take(self, name: str, quantity: int, first_summary: Summary | None) -> Callable[[], TakeResult]:
        """Make a request for units. Sent again, it passes no summary, as a repeat does."""
        first = [first_summary]

        def send() -> TakeResult:
            summary, called = first.pop() if first else None, monotonic_ns()
            with self.clock.request() as now:
                self._moments.append((now, called))
                expires_at = now // 1000 + HOLD_SECONDS
                answer = self.stock.take(self.race.pool, name, quantity, expires_at, summary, now=now)
                if self.race.says_sold_out_when_held and isinstance(answer, AllHeld):
                    answer = SoldOut()
            if isinstance(answer, SoldOut):
                known = now if summary is None or not summary.sold_out else summary.as_of
                since = self._latest_moment_before(min(known, now - MAX_SUMMARY_AGE) - SUMMARY_CLOCK_LEAD_MS)
                self.results.sold_out.append(SoldOutAnswer(since, monotonic_ns()))
            return answer

        return send

    def _latest_moment_before(self, instant: Instant) -> float:
        """Return the latest moment at which this process knows that the race's clock was before ``instant``."""
        return max((at for now, at in list(self._moments) if now < instant), default=-inf)

    def count_answer(self, answer: TakeResult | None) -> None:
        """Count an answer. Where no sale is undone any more, check a "sold out" at once."""
        if isinstance(answer, Taken):
            self.figures["takes"] += 1
            self.figures["replays"] += answer.replay
            self.figures["overflows"] += answer.hold.bucket != home_of(answer.hold.id, self.race.pool)
        elif answer is not None:
            self.figures[f"refused_{type(answer).__name__}"] += 1
        if isinstance(answer, SoldOut) and (self.name == LATE or not self.race.undoing):
            self.figures["false_sold_out"] += sold_by_order(self.buckets()).total() < self.race.units

    def collect_results(self) -> ProcessResults:
        figures = self.figures + self.faulty_client.figures
        return replace(self.results, figures=figures, writes=self.faulty_client.writes)


@cache
def client_of(account: EmulatorAccount) -> Any:
    """Return this process's client of an engine."""
    return account.client("dynamodb")


def create_race_buckets(race: StockRace) -> None:
    """Create the drop's buckets."""
    stock = Stock(client_of(race.account), race.stock_table, race.commerce_table)
    stock.create_buckets(race.drop_id, race.sizes, NOW)


def finish_race(race: StockRace, clock: RaceClock, shares: Sequence[ProcessResults] = ()) -> Counter[str]:
    """Let all holds expire, let late buyers buy until the answer is "sold out", and count violations."""
    process = StockRaceProcess(race, clock, LATE, NO_FAULTS)
    may_have_by_order = process.may_have_by_order
    for share in shares:
        may_have_by_order |= share.may_have_by_order
    clock.advance(1_000 * HOLD_SECONDS * 20)
    random, wanted, refused = Random(race.seed), 1, 0
    for late in range(20 * race.units):
        if refused == MAX_REFUSALS:
            break
        wanted = wanted or random.choice(QUANTITIES)
        hold = hold_id(f"{race.drop_id}/late/{late}", race.drop_id, 1, wanted)
        answer = send_until_answered(process.take(hold, wanted, None))
        process.count_answer(answer)
        wanted = 0
        match answer:
            case SoldOut():
                break
            case InsufficientUnits(quantity):
                wanted = quantity
            case AllHeld() | Busy():
                refused += 1
                clock.advance(1_500)
            case Taken(taken):
                refused = 0
                order = OrderRef(f"L{late:08d}", 1)
                committed = send_until_answered(partial(process.stock.commit, race.pool, taken, taken.quantity, order))
                process.may_have_by_order[order.order_ref] = {
                    committed.quantity if isinstance(committed, Committed) else 0
                }
    results = [*shares, process.collect_results()]
    writes = [write for one in results for write in one.writes]
    answers = [answer for one in results for answer in one.sold_out]
    found = check_final_stock(process.buckets(), race.units, may_have_by_order)
    found["sold_out_answers"] += len(answers)
    found["false_sold_out"] += count_false_answers(
        answers, writes, buckets=[f"{race.drop_id}#{n}" for n in range(len(race.sizes))]
    )
    return sum((one.figures for one in results), found)
