"""However many attempts an attacker places at once, few of them reach the provider (Invariant 4f).

A completion reads the velocity limit. Each worker reads it again, strongly, before it asks the provider, and counts a
decline before the attempt ends. At any instant at most one attempt of each worker is asked for and not yet counted.
So at most ``limit - 1 + workers`` attempts of an attacker reach the provider within a window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from chalicelib.capture import process_attempt, process_payment
from chalicelib.checkout import complete_purchase, create_purchase
from chalicelib.checkout.payment_velocity import velocity_keys_of
from chalicelib.instants import HOUR
from chalicelib.payments import Authorisation, AuthorisationRequest, SandboxGateway
from chalicelib.purchase import CheckoutContext, CheckoutResult, PurchaseState
from chalicelib.risk import DeclineLimits, FraudRules, StepUpRule
from tests.builders.context import a_checkout_context
from tests.builders.drops import an_open_drop, put_drop_record
from tests.builders.purchases import a_complete_request, a_purchase_request
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, RETRYABLE_ERRORS, Simulator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONCURRENT_ATTEMPTS, LIMIT, WORKERS = 64, 5, 4
MAX_ATTEMPTS_AT_PROVIDER = LIMIT - 1 + WORKERS
RULES = FraudRules(DeclineLimits(email=LIMIT), StepUpRule(declines=3, percent=50))


class _SlowGateway(SandboxGateway):
    """A slow provider: other processes continue before it decides, and before its answer arrives."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(cast("DynamoDBClient", StrictFakeDynamoDB()), "sandbox")
        self._simulator = simulator

    def authorise(self, request: AuthorisationRequest, *, now: int) -> Authorisation:
        self._simulator.yield_to_others(2)
        answer = super().authorise(request, now=now)
        self._simulator.yield_to_others(2)
        return answer


class PaymentVelocityWorld:
    """One attacker with a card that is declined, many purchases whose units are held, and the capture workers."""

    def __init__(self, seed: int) -> None:
        self.simulator = Simulator(seed, lambda: None)
        self.gateway = _SlowGateway(self.simulator)
        drop = an_open_drop(stock=CONCURRENT_ATTEMPTS + 8, bucket_count=3, hold_seconds=600)
        put_drop_record(self.simulator.table, drop)
        context = self.new_context()
        context.stock.create_buckets("mug", [24, 24, 24], self.simulator.now)
        self.purchase_ids = [self.open_purchase(context, f"p{index}") for index in range(CONCURRENT_ATTEMPTS)]
        self.placed_ids: list[str] = []
        self.refused_completions = 0

    def new_context(self) -> CheckoutContext:
        return a_checkout_context(self.simulator.client, "stock", "commerce", self.gateway, fraud_rules=RULES)

    def open_purchase(self, context: CheckoutContext, key: str) -> str:
        answer = create_purchase(context, a_purchase_request(("mug", 1), key=key), self.simulator.now)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase.id

    def completion_process(self, purchase_id: str) -> Callable[[], None]:
        context = self.new_context()

        def run() -> None:
            self.simulator.yield_to_others(self.simulator.random.choice([0, 0, 300]))
            request = a_complete_request("declined", f"pay-{purchase_id}")
            answer = self.send_until_answered(
                lambda: complete_purchase(context, purchase_id, request, self.simulator.now)
            )
            if answer.purchase.state is PurchaseState.PLACED:
                self.placed_ids.append(purchase_id)
            else:
                assert answer.messages[0].code == "too_many_attempts"
                self.refused_completions += 1

        return run

    def send_until_answered(self, send: Callable[[], object]) -> CheckoutResult:
        """Send a request until it is answered."""
        while True:
            try:
                answer = send()
            except RETRYABLE_ERRORS:
                continue
            assert isinstance(answer, CheckoutResult)
            return answer

    def worker_process(self) -> Callable[[], None]:
        """Process one message after another, each until it succeeds."""
        context = self.new_context()

        def run() -> None:
            idle = 0
            while idle < 200:
                if not self.placed_ids:
                    idle += 1
                    self.simulator.yield_to_others()
                    continue
                purchase_id = self.placed_ids.pop(0)
                try:
                    process_attempt(context, purchase_id, 1, self.simulator.now)
                except RETRYABLE_ERRORS:
                    self.placed_ids.append(purchase_id)

        return run

    def attempts_at_provider(self) -> int:
        """Count the attempts that reached the provider."""
        return sum(
            self.gateway.find(purchase_id, 1, now=self.simulator.now) is not None for purchase_id in self.purchase_ids
        )


def run_schedule(seed: int, faults: str = "doubled", max_attempts: int = MAX_ATTEMPTS_AT_PROVIDER) -> Counter[str]:
    world = PaymentVelocityWorld(seed)
    for _ in range(WORKERS):
        world.simulator.add_process(world.worker_process(), FAULT_CLASSES[faults])
    for purchase_id in world.purchase_ids:
        world.simulator.add_process(world.completion_process(purchase_id))
    world.simulator.run()
    context = world.new_context()
    for purchase_id in world.purchase_ids:  # the queue delivers the messages of dead workers again
        process_attempt(context, purchase_id, 1, world.simulator.now)
    attempts_at_provider, events_seen = world.attempts_at_provider(), world.simulator.events_seen
    assert LIMIT <= attempts_at_provider <= max_attempts
    purchases = context.purchases.read_all(world.purchase_ids).values()
    attempts_begun = sum(purchase.attempt for purchase in purchases)
    assert {purchase.state for purchase in purchases} == {PurchaseState.OPEN}
    decline_items = [item for place, item in world.simulator.table.items.items() if place[-1] == "DECLINES"]
    assert [len(item) - len({"pk", "sk", "expires_at"}) for item in decline_items] == [attempts_at_provider]
    assert world.simulator.table.items[("commerce", "DROP#mug", "RISK")]["declines"] <= attempts_at_provider
    velocity_keys = velocity_keys_of(context, next(iter(purchases)), "declined")
    assert context.risk.check_velocity(velocity_keys, world.simulator.now, strong=True) is not None
    assert context.risk.check_velocity(velocity_keys, world.simulator.now + HOUR, strong=True) is None
    events_seen["stopped at completion"] += world.refused_completions > 0
    events_seen["stopped by the worker"] += attempts_begun > attempts_at_provider
    events_seen["as many as possible"] += attempts_at_provider == max_attempts
    return events_seen


EXPECTED_EVENTS = ["stopped at completion", "stopped by the worker"]


@parametrize_seeds(16)
def test_of_64_attempts_at_once_no_more_than_the_limit_and_the_workers_reach_the_provider(
    search: ScheduleSearch, seeds: range
) -> None:
    search.expect_invariants_hold("declines, at once", seeds, run_schedule, expected_events=EXPECTED_EVENTS)


@parametrize_seeds(8)
@pytest.mark.parametrize("faults", ["doubled and cut", "doubled, cut and late"])
def test_each_decline_is_counted_once_when_calls_are_lost(search: ScheduleSearch, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(
        f"declines, {faults}", seeds, lambda seed: run_schedule(seed, faults, CONCURRENT_ATTEMPTS)
    )


def test_the_search_reaches_the_largest_possible_number(search: ScheduleSearch) -> None:
    search.expect_control_caught(
        "one fewer than possible", 300, lambda seed: run_schedule(seed, max_attempts=MAX_ATTEMPTS_AT_PROVIDER - 1)
    )


def test_the_search_catches_workers_that_do_not_read_the_limit_again(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_payment, "exceeds_velocity_limit", lambda context, purchase, now: False)
    search.expect_control_caught("workers that do not read the limit again", 50, run_schedule)
