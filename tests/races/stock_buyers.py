"""The buyers of a race for one drop's units. Each records the units that its order may have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

from chalicelib.stock import Committed, HoldGone, HoldRef, InsufficientUnits, OrderRef, RevertedToHold, Taken, hold_id
from tests.races import buyers_pool
from tests.races.buyers_pool import at_once, send_until_answered
from tests.races.faulty_client import RACE_FAULT_RATES
from tests.races.invariants import bucket_counts
from tests.races.race_clock import RaceClock
from tests.races.stock_race import HOLD_SECONDS, QUANTITIES, ProcessResults, StockRace, StockRaceProcess

STEP_MS: Final = 160
"""Time between two steps. Buyers return to their holds at any time between at once and after the end."""

THREADS: Final = 8
_MAX_ATTEMPTS: Final = 5


class StockRaceBuyer:
    """One buyer with one order and one hold at a time."""

    def __init__(self, process: StockRaceProcess, number: int) -> None:
        self._process, self._number = process, number
        self._stock, self._pool, self._clock = process.stock, process.race.pool, process.clock
        self._random = Random(f"{process.race.seed}/{number}")
        self._reference, self._wanted = f"{number:09d}", QUANTITIES[number % len(QUANTITIES)]
        self._may_have = process.may_have_by_order.setdefault(self._reference, {0})

    def steps(self) -> Iterator[None]:
        hold: HoldRef | None = None
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            hold = self._take(attempt)
            if hold is not None:
                break
            for _ in range(3):  # it tries again after a moment
                yield
        if hold is not None:
            for _ in range(self._random.choice([0, 1, 2, 4, 6])):
                yield
            yield from self._continue_with(hold)

    def _take(self, attempt: int) -> HoldRef | None:
        process, drop_id, wanted = self._process, self._pool.pool_id, self._wanted
        name = hold_id(f"{drop_id}/{self._number}", drop_id, attempt, wanted)
        summary = send_until_answered(partial(self._stock.summary, drop_id)) if self._random.random() < 0.6 else None
        copies = self._random.choice([1, 1, 1, 2, 3])
        answers = at_once(*[process.take(name, wanted, summary) for _ in range(copies)])
        for answer in answers:
            process.count_answer(answer)
        taken = [answer.hold for answer in answers if isinstance(answer, Taken)]
        if copies > 1:
            self._check_double_holds(name, taken)
        self._wanted = min(
            (answer.available for answer in answers if isinstance(answer, InsufficientUnits)), default=wanted
        )
        return taken[0] if taken else None

    def _check_double_holds(self, name: str, taken: list[HoldRef]) -> None:
        """Check, after all copies of a request ended, that its units and all answers are of one bucket."""
        live_buckets = {hold.bucket for hold in taken if not self._has_expired(hold)}
        doubled = bucket_counts(self._process.buckets())[name] > 1 or len(live_buckets) > 1
        self._process.figures["double_holds"] += doubled

    def _continue_with(self, hold: HoldRef) -> Iterator[None]:
        """Choose what the buyer does with a hold. Half of the buyers simply buy."""
        choices: list[Callable[[HoldRef], Iterator[None]]] = [
            *[self._buy] * 5, self._buy_fewer, self._shrink, self._release, self._commit_and_release, self._abandon,
        ]  # fmt: skip
        if self._process.race.undoing:
            choices += [self._revert_after_decline, self._revert_after_decline, self._restock, self._restock]
        yield from self._random.choice(choices)(hold)

    def _buy(self, hold: HoldRef) -> Iterator[None]:
        self._commit(hold, hold.quantity, 1, copies=self._random.choice([1, 1, 2]))
        yield

    def _buy_fewer(self, hold: HoldRef) -> Iterator[None]:
        self._commit(hold, self._random.randint(1, hold.quantity), 1)
        yield

    def _shrink(self, hold: HoldRef) -> Iterator[None]:
        keep = self._random.randint(1, hold.quantity)
        shrunk = send_until_answered(lambda: self._stock.shrink(self._pool, hold, keep))
        yield
        self._commit(replace(hold, quantity=keep) if shrunk else hold, keep, 1)

    def _release(self, hold: HoldRef) -> Iterator[None]:
        at_once(*[lambda: self._stock.release(self._pool, hold)] * self._random.choice([1, 2]))
        yield

    def _commit_and_release(self, hold: HoldRef) -> Iterator[None]:
        """Commit and release at the same moment. One of them wins."""
        self._may_have.add(hold.quantity)
        committed, released = at_once(
            partial(self._stock.commit, self._pool, hold, hold.quantity, OrderRef(self._reference, 1)),
            partial(self._stock.release, self._pool, hold),
        )
        if committed == Committed(hold.quantity):
            self._set_may_have(hold.quantity)
        elif committed is not None and released is not None:
            self._set_may_have(0)
        yield

    def _abandon(self, hold: HoldRef) -> Iterator[None]:
        yield

    def _revert_after_decline(self, hold: HoldRef) -> Iterator[None]:
        """Commit, then revert to hold, perhaps both at once. Then commit at the next epoch, or let the hold expire."""
        order, expires_at = OrderRef(self._reference, 1), self._clock.now() // 1000 + HOLD_SECONDS
        commit = partial(self._stock.commit, self._pool, hold, hold.quantity, order)
        revert = partial(self._stock.revert_to_hold, self._pool, hold, order, expires_at)
        if self._random.random() < 0.5:
            self._may_have.add(hold.quantity)
            answers: list[object] = [*at_once(commit, revert)]
        else:
            self._commit(hold, hold.quantity, 1)
            yield
            self._may_have.add(0)
            answers = [*at_once(revert)]
            if answers == [HoldGone()] and self._may_have == {hold.quantity}:
                self._process.figures["early_losses"] += 1
        if RevertedToHold(expires_at) in answers and None not in answers:
            self._set_may_have(0)
        yield
        if RevertedToHold(expires_at) in answers and self._random.random() < 0.6:
            self._commit(replace(hold, expires_at=expires_at), hold.quantity, 2)

    def _restock(self, hold: HoldRef) -> Iterator[None]:
        """Buy, then restock some or all units, perhaps with two requests at once."""
        self._commit(hold, hold.quantity, 1)
        yield
        if self._may_have != {hold.quantity}:
            return
        left = self._random.randrange(hold.quantity)
        self._may_have.add(left)
        order = OrderRef(self._reference, 1)
        restock = partial(self._stock.restock, self._pool, hold, order, hold.quantity, left)
        answers = at_once(*[restock] * self._random.choice([1, 2]))
        if True in answers:
            self._set_may_have(left)
        elif False in answers:
            self._process.figures["early_losses"] += 1

    def _commit(self, hold: HoldRef, keep: int, epoch: int, *, copies: int = 1) -> None:
        self._may_have.add(keep)
        commit = partial(self._stock.commit, self._pool, hold, keep, OrderRef(self._reference, epoch))
        answers = at_once(*[commit] * copies)
        if Committed(keep) in answers:
            self._set_may_have(keep)
        elif None not in answers:
            self._set_may_have(0)
            self._process.figures["gone"] += 1
            self._process.figures["early_losses"] += not self._has_expired(hold)

    def _set_may_have(self, units: int) -> None:
        self._may_have.clear()
        self._may_have.add(units)

    def _has_expired(self, hold: HoldRef) -> bool:
        """Whether another buyer may have reclaimed the hold by now."""
        return self._clock.now() > hold.expires_at * 1000


def run_share(race: StockRace, clock: RaceClock, part: int, parts: int) -> ProcessResults:
    """Run one process's share of the buyers to their ends."""
    process = StockRaceProcess(race, clock, str(part), RACE_FAULT_RATES)
    buyers = [StockRaceBuyer(process, number).steps() for number in range(part, race.buyers, parts)]
    errors = buyers_pool.run_buyers(buyers, clock, f"{race.seed}/{part}", threads=THREADS, step_ms=STEP_MS)
    process.figures["errors"] += len(errors)
    return process.collect_results()
