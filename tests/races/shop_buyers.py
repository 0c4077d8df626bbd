"""The buyers of a race of purchases. Restless ones do everything at once, patient ones repeat until they succeed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Final

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, find_purchase, update_purchase
from chalicelib.purchase import CheckoutResult, NoPurchase, Purchase, PurchaseState, RefundRequest
from chalicelib.refunds import cancel_paid_order, refund_order
from tests.builders.purchases import PLATFORM, a_complete_request
from tests.fakes.process_died import ProcessDied
from tests.races import buyers_pool
from tests.races.buyers_pool import at_once
from tests.races.faulty_client import RACE_FAULT_RATES
from tests.races.race_clock import RaceClock
from tests.races.shop_race import ShopRace, ShopRaceProcess
from tests.races.stock_race import QUANTITIES

STEP_MS: Final = 300
THREADS: Final = 6
TOKENS: Final = ("ok", "ok", "ok", "declined", "timeout", "capture_timeout", "captured_late", "capture_refused")


class ShopRaceBuyer:
    """One buyer with one purchase."""

    def __init__(self, process: ShopRaceProcess, number: int) -> None:
        self._process, self._context, self._number = process, process.context, number
        self._random = Random(f"{process.race.seed}/{number}")
        self._keys = 0
        self._purchase_id = ""

    def _key(self) -> str:
        self._keys += 1
        return f"{self._number}-{self._keys}"

    def send(self, *requests: Callable[[], object]) -> list[object]:
        """Send requests about this buyer's purchase at the same moment."""
        answers = at_once(*requests)
        for answer in answers:
            if isinstance(answer, CheckoutResult):
                self._purchase_id = answer.purchase.id
                self._process.record_answer(answer.purchase)
        return answers

    def create(self, key: str, quantities: dict[str, int], copies: int = 1) -> list[object]:
        change = self._process.change(key, quantities)
        return self.send(*[self._process.request(partial(create_purchase, self._context), change)] * copies)

    def _update(self, quantities: dict[str, int]) -> Callable[[], object]:
        change = self._process.change(self._key(), quantities)
        return self._process.request(partial(update_purchase, self._context), self._purchase_id, change)

    def complete(self, token: str) -> Callable[[], object]:
        request = a_complete_request(token, self._key())
        return self._process.request(partial(complete_purchase, self._context), self._purchase_id, request)

    def _cancel(self) -> Callable[[], object]:
        key = self._key()
        return self._process.request(partial(cancel_purchase, self._context, self._purchase_id, PLATFORM, key, key))

    def _find(self) -> Purchase | None:
        (found,) = self.send(self._process.request(partial(find_purchase, self._context), self._purchase_id))
        return found.purchase if isinstance(found, CheckoutResult) else None

    def capture(self) -> None:
        """Deliver the message of the placed attempt, perhaps to two workers at once."""
        purchase = self._find()
        if purchase is not None and purchase.state is PurchaseState.PLACED:
            capture = self._process.request(
                partial(process_attempt, self._context), self._purchase_id, purchase.attempt
            )
            at_once(*[capture] * self._random.choice([1, 1, 2]))


class _RestlessBuyer(ShopRaceBuyer):
    """A buyer who makes every request, many of them twice or at the wrong moment."""

    def steps(self) -> Iterator[None]:
        random, key = self._random, self._key()
        drops = [drop_id for drop_id, _ in self._process.race.drops]
        chosen = random.sample(drops, random.choice([1, 1, len(drops)]))
        quantities = {drop_id: random.choice(QUANTITIES) for drop_id in chosen}
        for _ in range(4):
            answers = self.create(key, quantities, copies=random.choice([1, 1, 2]))
            self._count_create_answers(answers)
            yield
            if self._purchase_id:
                break
            yield
        if not self._purchase_id:
            return
        if random.random() < 0.7:
            self.send(*self._contradicting_requests(quantities))
            yield
            self.capture()
        for _ in range(random.choice([0, 2, 5])):
            yield
        for _ in range(3):
            self.send(*[self.complete(random.choice(TOKENS))] * random.choice([1, 2]))
            yield
            self.capture()
            yield
        purchase = self._find()
        if purchase is not None and purchase.state is PurchaseState.PAID and random.random() < 0.3:
            at_once(*[self._refund(purchase)] * random.choice([1, 2]))
            self._process.figures["refunds"] += 1

    def _count_create_answers(self, answers: list[object]) -> None:
        created = {answer.purchase.id for answer in answers if isinstance(answer, CheckoutResult)}
        self._process.figures["double_holds"] += len(created) > 1
        self._process.figures["replays"] += sum(isinstance(answer, CheckoutResult) for answer in answers) > 1
        refused = [answer for answer in answers if isinstance(answer, NoPurchase)]
        for answer in refused:
            self._process.figures[f"refused_{answer.messages[0].code}"] += 1

    def _contradicting_requests(self, quantities: dict[str, int]) -> list[Callable[[], object]]:
        """Choose requests that contradict one another."""
        other = {drop_id: self._random.choice(QUANTITIES) for drop_id in quantities}
        update, complete = self._update(other), self.complete("ok")
        return self._random.choice(
            [
                [update, self._update(quantities)],
                [update, update],
                [update, complete],
                [update, complete, complete],
                [complete, self.complete("ok")],
                [self._cancel(), complete],
            ]
        )

    def _refund(self, purchase: Purchase) -> Callable[[], object]:
        context, key = self._context, self._key()
        if self._random.random() < 0.5:
            return self._process.request(partial(cancel_paid_order, context, self._purchase_id, key, key, "ann"))
        line = purchase.lines[0]
        lines = ((line.id, self._random.randint(1, line.quantity)),)
        return self._process.request(
            partial(refund_order, context), self._purchase_id, RefundRequest(key, key, lines, True, "ann")
        )


class _PatientBuyer(ShopRaceBuyer):
    """A buyer who repeats requests until it has its units, and pays with two cards at once."""

    def steps(self) -> Iterator[None]:
        ((drop_id, _),) = self._process.race.drops
        quantities, key = {drop_id: self._process.race.wanted_quantities[self._number]}, self._key()
        for _ in range(100):
            purchase = self._find_if_created()
            if purchase is None:
                self._survive_death(lambda: self.create(key, quantities))
            elif purchase.state is PurchaseState.PLACED:
                self._survive_death(self.capture)
            elif purchase.state is PurchaseState.PAID:
                return
            elif [line.quantity for line in purchase.lines] == [*quantities.values()]:
                self._survive_death(lambda: self.send(self.complete("ok"), self.complete("ok")))
            else:
                self._survive_death(lambda: self.send(self._update(quantities)))
            yield

    def _find_if_created(self) -> Purchase | None:
        return self._find() if self._purchase_id else None

    def _survive_death(self, step: Callable[[], object]) -> None:
        try:
            step()
        except ProcessDied:
            self._process.figures["deaths"] += 1


def run_share(race: ShopRace, clock: RaceClock, part: int, parts: int) -> tuple[Counter[str], set[str]]:
    """Run one process's share of the buyers to their ends."""
    process = ShopRaceProcess(race, clock, str(part), RACE_FAULT_RATES)
    kind = _PatientBuyer if race.wanted_quantities else _RestlessBuyer
    buyers = [kind(process, number).steps() for number in range(part, race.buyers, parts)]
    errors = buyers_pool.run_buyers(buyers, clock, f"{race.seed}/{part}", threads=THREADS, step_ms=STEP_MS)
    process.figures["errors"] += len(errors)
    return process.collect_results()
