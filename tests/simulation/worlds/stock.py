"""Three small buckets of one drop on a stage: the rules that hold after every write, and buyers who take from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from botocore.exceptions import ReadTimeoutError

from chalicelib.stock import Pool, SoldOut, Stock, Summary, Taken, TakeResult, hold_id
from tests.simulation.simulator import Simulator

CLOCK_JUMPS = (1_000, 4_000, 7_000, 61_000)
SUMMARY_AGES = (0, 400, 1_000, 3_000)
A_SECOND = 1_000
HOLD_SECONDS = 5
LAYOUT = Pool("d", 3)
TakeFunction = Callable[[Stock, str], TakeResult]


class HoldInTwoBuckets(AssertionError):
    """One hold has units in two buckets."""


class StockWorld:
    """``rules`` are checked after every write, beside those of buckets. ``one_place``: no hold ever stands in two."""

    def __init__(self, seed: int, sizes: Sequence[int] = (1, 1, 2)) -> None:
        self.seed, self.simulator = seed, Simulator(seed, self.check_invariants)
        self.random = Random(seed)
        self.sizes = [self.random.choice(sizes) for _ in range(LAYOUT.bucket_count)]
        self.allowed_sizes = range(sum(self.sizes), sum(self.sizes) + 1)
        self.stocks: list[Stock] = []
        self.all_sold = False
        self.last_sold_out_at = 0
        self.stock = self.new_stock()
        self.stock.create_buckets("d", self.sizes, self.simulator.now)
        self.invariants: list[Callable[[], None]] = []
        self.one_bucket_per_hold = True

    def new_stock(self) -> Stock:
        """What another process has: the same tables, memory of its own."""
        self.stocks.append(Stock(self.simulator.client, "stock", "commerce"))
        return self.stocks[-1]

    @property
    def seconds(self) -> int:
        return self.simulator.now // 1000

    @property
    def buckets(self) -> list[dict[str, Any]]:
        return [self.simulator.table.items["stock", f"d#{number}"] for number in range(LAYOUT.bucket_count)]

    @property
    def size(self) -> int:
        return sum(bucket["s"] for bucket in self.buckets)

    def buckets_holding(self, hold: str) -> list[int]:
        """Where the hold has units."""
        return [number for number, bucket in enumerate(self.buckets) if bucket["h"].get(hold, {"q": 0})["q"] > 0]

    def check_invariants(self) -> None:
        seen: set[str] = set()
        buckets = self.buckets
        for bucket in buckets:
            units = 0
            for name, entry in bucket["h"].items():
                if entry["q"] == 0:
                    continue
                units += entry["q"]
                if name in seen and self.one_bucket_per_hold:
                    raise HoldInTwoBuckets(name)
                seen.add(name)
            assert bucket["a"] >= 0
            assert bucket["a"] + units == bucket["s"]
        assert self.size in self.allowed_sizes
        assert sum(bucket.get("m", 0) for bucket in buckets) == 0
        was_all_sold, self.all_sold = self.all_sold, self.unsold_units() == 0
        if was_all_sold or self.all_sold:
            self.last_sold_out_at = self.simulator.now
        for invariant in self.invariants:
            invariant()

    def random_summary(self) -> Summary | None:
        """What a caller may believe: nothing, or any buckets to be open, true or not."""
        if self.random.random() < 0.4:
            return None
        return self.summary_with_open(n for n in range(LAYOUT.bucket_count) if self.random.random() < 0.6)

    def summary_with_open(self, open_buckets: Iterable[int]) -> Summary:
        """A summary by which these buckets have units, and every other unit is held."""
        opened, size, as_of = (
            tuple(open_buckets),
            sum(self.sizes),
            self.simulator.now - self.random.choice(SUMMARY_AGES),
        )
        return Summary("d", size, len(opened), size - len(opened), 0, opened, self.seconds, None, as_of)

    def take(self, stock: Stock, hold: str, quantity: int = 1) -> TakeResult:
        """Ask for units. "Sold out" may be told of a state that was, a second ago or in the summary that was known."""
        now, expires_at, summary = self.simulator.now, self.seconds + HOLD_SECONDS, self.random_summary()
        answer = stock.take(LAYOUT, hold, quantity, expires_at, summary, now=now)
        if isinstance(answer, SoldOut):
            since = now - A_SECOND if summary is None or not summary.sold_out else min(now - A_SECOND, summary.as_of)
            assert self.all_sold or self.last_sold_out_at >= since, "called sold out while there are units"
        return answer

    def unsold_units(self) -> int:
        """Units that are available or held."""
        sold: int = sum(e["q"] for bucket in self.buckets for e in bucket["h"].values() if "u" not in e)
        return self.size - sold

    def buyer_process(self, hold: str, take_units: TakeFunction, tries: int) -> Callable[[], None]:
        """Tries for a hold until it is taken; a call that got no answer is repeated after a while."""
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
        """Another buyer, who takes and gives back, or lets it lapse."""
        stock = self.new_stock()

        def run() -> None:
            for turn in range(3):
                answer = self.take(stock, hold_id(name, "d", turn, 1))
                if isinstance(answer, Taken) and self.random.random() < 0.7:
                    stock.release(LAYOUT, answer.hold)

        return run

    def assert_nothing_stranded(self) -> None:
        """When every hold has lapsed and every fence, whoever comes gets a unit at once, until every one is taken.

        They come to processes that were there before, on a first try or another, a moment after the stream's function.
        """
        self.simulator.advance_clock(200_000)
        size = self.size
        for turn in range(self.stock.refresh(LAYOUT, self.simulator.now).available):
            self.simulator.advance_clock(A_SECOND + 100)
            summary = self.stock.refresh(LAYOUT, self.simulator.now) if self.random.random() < 0.7 else None
            hold, expires_at = hold_id("late", "d", turn, 1), self.seconds + 900
            answer = self.random.choice(self.stocks).take(LAYOUT, hold, 1, expires_at, summary, now=self.simulator.now)
            assert isinstance(answer, Taken), f"refused although there are units: {answer}"
        final = self.stock.refresh(LAYOUT, self.simulator.now)
        assert final.available == 0
        assert final.held + final.sold == size
        assert self.stock.audit(LAYOUT, size, self.simulator.now).mismatches == ()
