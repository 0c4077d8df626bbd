"""A run of many orders in virtual time: real workers, the shared pacer, and Stripe's SDK against the double.

Workers, their messages and the provider's answers take time on one clock that jumps from event to event. So a run of an
hour takes seconds, and each seed gives the same run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

from greenlet import getcurrent, greenlet

from app import CAPTURE_BATCH, LAST_CALL_AFTER
from chalicelib.checkout import complete_purchase, create_purchase
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import Pace, SharedPacer, TurnStore
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import CheckoutContext, CheckoutResult, PurchaseState
from chalicelib.streams.capture import process_payments
from chalicelib.streams.messaging import Queue
from tests.builders.context import a_checkout_context
from tests.builders.drops import an_open_drop, put_drop_record
from tests.builders.purchases import NOW, a_complete_request, a_purchase_request
from tests.doubles.stripe import API_KEY, Account, Behaviour, InProcessClient
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.payments.stripe_requests import MARK

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WORKERS: Final = 20
"""The default of ``CaptureConcurrency``."""
DROP_UNITS: Final = 20
"""Units of each drop. A bucket has 24 holds at most."""
VISIBILITY: Final[Instant] = 300 * SECOND
MAX_DELIVERIES: Final = 8
POLL: Final = 0.1
"""Seconds until an idle worker looks for messages again."""
ANSWER_SECONDS: Final = {"create": (0.6, 1.4), "capture": (0.4, 1.0), "other": (0.1, 0.4)}
"""How long the provider takes for an answer, from and to."""
TRAVEL_SECONDS: Final = (0.02, 0.12)
"""How long a request travels until the provider's limits see it."""


class VirtualTime:
    """A clock, and the coroutines that sleep on it."""

    def __init__(self) -> None:
        self.now: Instant = NOW
        self._sleepers: list[tuple[Instant, int, greenlet]] = []
        self._numbers = count()
        self._hub = getcurrent()

    def clock(self) -> Instant:
        return self.now

    def spawn(self, body: Callable[[], object]) -> None:
        self._wake(greenlet(body, self._hub), self.now)

    def sleep(self, seconds: float) -> None:
        """Let the running coroutine sleep."""
        self._wake(getcurrent(), self.now + round(seconds * SECOND))
        self._hub.switch()

    def map(self, handle: Callable[[Any], Any], records: Sequence[Any]) -> Iterable[Any]:
        """Handle records side by side, and return when all are done."""
        caller, answers = getcurrent(), dict[int, Any]()

        def run(number: int, record: Any) -> None:
            answers[number] = handle(record)
            if len(answers) == len(records):
                self._wake(caller, self.now)

        for number, record in enumerate(records):
            self.spawn(lambda number=number, record=record: run(number, record))  # type: ignore[misc]
        self._hub.switch()
        return [answers[number] for number in range(len(records))]

    def run(self) -> None:
        """Run until nobody sleeps any more."""
        while self._sleepers:
            self.now, _, sleeper = heappop(self._sleepers)
            sleeper.switch()

    def _wake(self, sleeper: greenlet, at: Instant) -> None:
        heappush(self._sleepers, (at, next(self._numbers), sleeper))


@dataclass
class VirtualQueue:
    """A queue of SQS in virtual time: delays, visibility, deliveries, and dead letters."""

    time: VirtualTime
    waiting: list[tuple[Instant, int, str, int]] = field(default_factory=list)
    """When each message is visible, its number, its body, and how often it was delivered."""
    dead_letters: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=count)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        for entry in Entries:
            self.put(entry["MessageBody"], entry["DelaySeconds"] * SECOND, 0)
        return {}

    def put(self, body: str, delay: Instant, deliveries: int) -> None:
        heappush(self.waiting, (self.time.now + delay, next(self.numbers), body, deliveries))

    def receive(self) -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = []
        while self.waiting and self.waiting[0][0] <= self.time.now and len(received) < CAPTURE_BATCH:
            _, number, body, deliveries = heappop(self.waiting)
            attributes = {"ApproximateReceiveCount": str(deliveries + 1)}
            received.append({"messageId": str(number), "body": body, "attributes": attributes})
        return received

    def redeliver(self, message: Mapping[str, Any]) -> None:
        """Take a message again after its delivery failed."""
        deliveries = int(message["attributes"]["ApproximateReceiveCount"])
        if deliveries >= MAX_DELIVERIES:
            self.dead_letters.append(message["body"])
        else:
            self.put(message["body"], VISIBILITY, deliveries)


class SlowClient(InProcessClient):
    """The SDK's way to the double. A request travels, has its effect, and its answer takes its time."""

    def __init__(self, run: PacedRun, random: Random) -> None:
        super().__init__(run.account)
        self.run, self.random = run, random

    def request(self, method: str, url: str, headers: Any = None, post_data: Any = None) -> Any:  # type: ignore[override]
        kind = "capture" if url.endswith("/capture") else "create" if url.endswith("/payment_intents") else "other"
        self.run.time.sleep(self.random.uniform(*TRAVEL_SECONDS))
        body, status, answered = super().request(method, url, headers, post_data)
        self.run.refused_by_limits += status == 429
        if kind == "capture" and status == 200:
            self.run.captured.append((self.run.time.now, json.loads(body)["metadata"]["purchase"]))
        self.run.time.sleep(self.random.uniform(*ANSWER_SECONDS[kind]))
        return body, status, answered


class PacedRun:
    """Orders that are placed at one instant, and the workers that pay for them."""

    def __init__(self, orders: int, *, pace: Pace | None, seed: int = 1) -> None:
        self.time = VirtualTime()
        self.account = Account(Behaviour(one_time_tokens=False), clock=self.time.clock)
        self.table = StrictFakeDynamoDB()
        self.queue = VirtualQueue(self.time)
        self.pace, self.random = pace, Random(seed)
        self.refused_by_limits = 0
        self.captured: list[tuple[Instant, str]] = []
        """When the provider captured each order's money."""
        self.placed = self._place(orders)

    def _place(self, orders: int) -> list[str]:
        """Place orders in one instant, and enqueue their messages in that order."""
        context, placed = self.context(), []
        for number in range(-(-orders // DROP_UNITS)):
            put_drop_record(self.table, an_open_drop(id=f"mug-{number}", stock=DROP_UNITS, bucket_count=1))
            context.stock.create_buckets(f"mug-{number}", [DROP_UNITS], self.time.now)
        for number in range(orders):
            line = (f"mug-{number // DROP_UNITS}", 1)
            created = create_purchase(context, a_purchase_request(line, key=f"key-{number}"), self.time.now)
            assert isinstance(created, CheckoutResult), created
            request = a_complete_request("pm_card_visa", f"pay-{number}")
            answer = complete_purchase(context, created.purchase.id, request, self.time.now)
            assert isinstance(answer, CheckoutResult)
            assert answer.purchase.state is PurchaseState.PLACED
            placed.append(created.purchase.id)
            self.queue.put(json.dumps({"purchase_id": created.purchase.id, "attempt": 1}), 0, 0)
        return placed

    def context(self, pacer: SharedPacer | None = None) -> CheckoutContext:
        """Return what one process has: caches and a gateway of its own."""
        client = SlowClient(self, Random(self.random.random()))
        gateway = StripeGateway(StripeCalls(fixed_key(API_KEY), http=client, pacer=pacer), MARK)
        return a_checkout_context(cast("DynamoDBClient", self.table), "stock", "commerce", gateway)

    def run(self) -> None:
        """Let the workers run until the queue stays empty."""
        busy = dict.fromkeys(range(WORKERS), False)

        def work(worker: int) -> None:
            pacer = self._new_pacer()
            context = self.context(pacer)
            while self.queue.waiting or any(busy.values()):
                messages = self.queue.receive()
                if not messages:
                    self.time.sleep(POLL)
                    continue
                busy[worker] = True
                if pacer is not None:
                    pacer.end_calls(self.time.now + LAST_CALL_AFTER)
                queue = Queue(cast("Any", self.queue), "captures")
                answer = process_payments({"Records": messages}, context, queue, self.time.now, self.time.map)
                failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
                for message in messages:
                    if message["messageId"] in failed:
                        self.queue.redeliver(message)
                busy[worker] = False

        for worker in range(WORKERS):
            self.time.spawn(lambda worker=worker: work(worker))  # type: ignore[misc]
        self.time.run()

    def _new_pacer(self) -> SharedPacer | None:
        turns = TurnStore(cast("DynamoDBClient", self.table), "commerce", "stripe")
        return SharedPacer(turns, self.pace, self.time.clock, self.time.sleep) if self.pace else None

    # Results

    def greatest_rate(self, operation: str | None = None) -> int:
        """Return the most calls that began within any second, whole or not."""
        instants = [at for at, called in self.account.calls if operation in {None, called}]
        first = greatest = 0
        for number, at in enumerate(instants):
            while instants[first] <= at - SECOND:
                first += 1
            greatest = max(greatest, number - first + 1)
        return greatest

    def seconds_to_paid(self) -> list[float]:
        """Return how long each order waited for its capture, in the order of captures."""
        return [(at - NOW) / SECOND for at, _ in self.captured]

    def greatest_displacement(self) -> int:
        """Return how many places an order was served before or after its place in the order of placing, at most."""
        place = {purchase: number for number, purchase in enumerate(self.placed)}
        return max(abs(place[purchase] - served) for served, (_, purchase) in enumerate(self.captured))

    def rank_correlation(self) -> float:
        """Return Spearman's correlation of the orders of placing and of service: 1 for the same order."""
        place = {purchase: number for number, purchase in enumerate(self.placed)}
        squares = sum((place[purchase] - served) ** 2 for served, (_, purchase) in enumerate(self.captured))
        return 1 - 6 * squares / (len(place) * (len(place) ** 2 - 1))

    def states(self) -> set[PurchaseState]:
        """Return the states in which orders ended."""
        context = self.context()
        found = [context.purchases.read(purchase) for purchase in self.placed]
        return {purchase.state for purchase in found if purchase is not None}
