"""A simulated world of stock: three small buckets of one drop, and buyers who take from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from botocore.exceptions import ReadTimeoutError

from chalicelib.stock import Pool, SoldOut, Stock, Summary, Taken, TakeResult, hold_id
from tests.independent_counts import units_add_up, unsold_units
from tests.simulation.simulator import Simulator

CLOCK_JUMPS = (1_000, 4_000, 7_000, 61_000)
SUMMARY_AGES = (0, 400, 1_000, 3_000)
A_SECOND = 1_000
HOLD_SECONDS = 5
POOL = Pool("d", 3)
TakeFunction = Callable[[Stock, str], TakeResult]


class HoldInTwoBuckets(AssertionError):
    """One hold has units in two buckets (Invariant 1a)."""


class StockWorld:
    """Three buckets whose invariants are checked after every write.

    ``invariants`` are further checks. ``one_bucket_per_hold``: no hold ever has units in two buckets.
    """

    def __init__(self, seed: int, sizes: Sequence[int] = (1, 1, 2)) -> None:
        self.seed, self.simulator = seed, Simulator(seed, self.check_invariants)
        self.random = Random(seed)
        self.sizes = [self.random.choice(sizes) for _ in range(POOL.bucket_count)]
        self.allowed_sizes = range(sum(self.sizes), sum(self.sizes) + 1)
        self.stocks: list[Stock] = []
        self.all_sold = False
        self.last_sold_out_at = 0
        self.stock = self.new_stock()
        self.stock.create_buckets("d", self.sizes, self.simulator.now)
        self.invariants: list[Callable[[], None]] = []
        self.one_bucket_per_hold = True

    def new_stock(self) -> Stock:
        """Build the ``Stock`` of another process: the same tables, caches of its own."""
        self.stocks.append(Stock(self.simulator.client, "stock", "commerce"))
        return self.stocks[-1]

    @property
    def seconds(self) -> int:
        return self.simulator.now // 1000

    @property
    def buckets(self) -> list[dict[str, Any]]:
        return [self.simulator.table.items["stock", f"d#{number}"] for number in range(POOL.bucket_count)]

    @property
    def size(self) -> int:
        return sum(bucket["s"] for bucket in self.buckets)

    def buckets_holding(self, hold: str) -> list[int]:
        """Return the buckets in which a hold has units."""
        return [number for number, bucket in enumerate(self.buckets) if bucket["h"].get(hold, {"q": 0})["q"] > 0]

    def check_invariants(self) -> None:
        holds: set[str] = set()
        buckets = self.buckets
        for bucket in buckets:
            for name in (name for name, entry in bucket["h"].items() if entry["q"]):
                if name in holds and self.one_bucket_per_hold:
                    raise HoldInTwoBuckets(name)
                holds.add(name)
            assert units_add_up(bucket)
        assert self.size in self.allowed_sizes
        assert sum(bucket.get("m", 0) for bucket in buckets) == 0
        was_all_sold, self.all_sold = self.all_sold, self.unsold_units() == 0
        if was_all_sold or self.all_sold:
            self.last_sold_out_at = self.simulator.now
        for invariant in self.invariants:
            invariant()

    def random_summary(self) -> Summary | None:
        """Draw the summary of a caller: none, or one that calls any buckets open, rightly or wrongly."""
        if self.random.random() < 0.4:
            return None
        return self.summary_with_open(n for n in range(POOL.bucket_count) if self.random.random() < 0.6)

    def summary_with_open(self, open_buckets: Iterable[int]) -> Summary:
        """Make a summary that calls these buckets open and all other units held."""
        opened, size = tuple(open_buckets), sum(self.sizes)
        as_of = self.simulator.now - self.random.choice(SUMMARY_AGES)
        return Summary("d", size, len(opened), size - len(opened), 0, opened, self.seconds, None, as_of)

    def take(self, stock: Stock, hold: str, quantity: int = 1) -> TakeResult:
        """Take units. "Sold out" must be true of an instant in the last second, or of the given summary."""
        now, expires_at, summary = self.simulator.now, self.seconds + HOLD_SECONDS, self.random_summary()
        answer = stock.take(POOL, hold, quantity, expires_at, summary, now=now)
        if isinstance(answer, SoldOut):
            since = now - A_SECOND if summary is None or not summary.sold_out else min(now - A_SECOND, summary.as_of)
            assert self.all_sold or self.last_sold_out_at >= since, 'answered "sold out" while units are unsold'
        return answer

    def unsold_units(self) -> int:
        """Count the units that are available or held."""
        return sum(unsold_units(bucket) for bucket in self.buckets)

    def buyer_process(self, hold: str, take_units: TakeFunction, tries: int) -> Callable[[], None]:
        """Take a hold, and repeat a call without an answer after some turns."""
        stock = self.new_stock()

        def run() -> None:
            for _ in range(tries):
                try:
                    if isinstance(take_units(stock, hold), Taken):
                        return
                except ReadTimeoutError:
                    self.simulator.yield_to_others(self.random.randrange(8))

        return run

    def rival_process(self, name: str) -> Callable[[], None]:
        """Take units for another buyer, and release them or let the hold expire."""
        stock = self.new_stock()

        def run() -> None:
            for turn in range(3):
                answer = self.take(stock, hold_id(name, "d", turn, 1))
                if isinstance(answer, Taken) and self.random.random() < 0.7:
                    stock.release(POOL, answer.hold)

        return run

    def assert_nothing_stranded(self) -> None:
        """Check, after all holds and fences have expired, that each next buyer gets a unit at once (Invariant 1c).

        Their requests reach processes that existed before, with or without a summary, just after a refresh.
        """
        self.simulator.advance_clock(200_000)
        size = self.size
        for turn in range(self.stock.refresh(POOL, self.simulator.now).available):
            self.simulator.advance_clock(A_SECOND + 100)
            summary = self.stock.refresh(POOL, self.simulator.now) if self.random.random() < 0.7 else None
            hold, expires_at = hold_id("late", "d", turn, 1), self.seconds + 900
            answer = self.random.choice(self.stocks).take(POOL, hold, 1, expires_at, summary, now=self.simulator.now)
            assert isinstance(answer, Taken), f"refused although there are units: {answer}"
        final = self.stock.refresh(POOL, self.simulator.now)
        assert final.available == 0
        assert final.held + final.sold == size
        assert self.stock.audit(POOL, size, self.simulator.now).mismatches == ()
