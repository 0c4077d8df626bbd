"""Calls of all workers take turns of shared buckets: below the rates, in their order, and never in a line too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from chalicelib.instants import SECOND
from chalicelib.payments import Pace, ProviderBusyError, SharedPacer, TurnStore
from chalicelib.payments.pacing import HORIZON
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.errors import Call
from tests.builders.purchases import NOW
from tests.conftest import Tables
from tests.doubles.stripe import API_KEY, Account, Behaviour, InProcessClient, ManualClock
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class World:
    """Processes that share the buckets. Each has a clock of its own, and nobody really sleeps."""

    def __init__(self, dynamodb: DynamoDBClient, table: str = "commerce") -> None:
        self.now = NOW
        self.turns = TurnStore(dynamodb, table, "stripe")

    def process(
        self, to_endpoint: int = 20, to_account: int = 80, *, ahead: int = 0
    ) -> tuple[SharedPacer, list[float]]:
        """Start a process whose clock is ``ahead`` milliseconds. Return its pacer, and the seconds that it slept."""
        slept: list[float] = []
        return SharedPacer(self.turns, Pace(to_endpoint, to_account), lambda: self.now + ahead, slept.append), slept


@pytest.fixture
def world() -> World:
    return World(cast("DynamoDBClient", StrictFakeDynamoDB()))


def test_calls_to_one_endpoint_wait_for_each_other_over_all_processes(world: World) -> None:
    first, first_slept = world.process()
    second, second_slept = world.process()
    for _ in range(3):
        first.await_turn("POST payment_intents")
        second.await_turn("POST payment_intents")
    assert first_slept == pytest.approx([0.1, 0.2])
    assert second_slept == pytest.approx([0.05, 0.15, 0.25])


def test_endpoints_have_lines_of_their_own(world: World) -> None:
    pacer, slept = world.process(to_account=1_000)
    for _ in range(2):
        pacer.await_turn("create")
        pacer.await_turn("capture")
    assert slept == pytest.approx([0.001, 0.05, 0.05])


def test_account_bounds_all_endpoints_together(world: World) -> None:
    pacer, slept = world.process(to_account=40)
    for endpoint in ("a", "b", "c", "d"):
        pacer.await_turn(endpoint)
    assert slept == pytest.approx([0.025, 0.05, 0.075])


def test_line_that_is_too_long_refuses_without_taking_a_turn(world: World) -> None:
    pacer, slept = world.process(to_endpoint=1)
    for _ in range(11):
        pacer.await_turn("create")
    for _ in range(3):
        with pytest.raises(ProviderBusyError) as refused:
            pacer.await_turn("create")
        assert refused.value.retry_in_seconds == 1
    world.now += SECOND
    pacer.await_turn("create")
    assert slept[-2:] == [10, 10]


def test_line_that_has_ended_costs_no_wait(world: World) -> None:
    pacer, slept = world.process()
    pacer.await_turn("create")
    world.now += HORIZON
    pacer.await_turn("create")
    assert slept == []


def test_process_begins_no_call_that_would_outlive_it(world: World) -> None:
    pacer, slept = world.process(to_endpoint=1)
    pacer.end_calls(world.now + 2 * SECOND)
    for _ in range(3):
        pacer.await_turn("create")
    with pytest.raises(ProviderBusyError):
        pacer.await_turn("create")
    assert slept == [1, 2]
    world.now += 3 * SECOND
    with pytest.raises(ProviderBusyError):
        pacer.await_turn("another endpoint")


def test_clock_that_is_ahead_or_behind_keeps_the_line(world: World) -> None:
    fast, fast_slept = world.process(ahead=SECOND)
    slow, slow_slept = world.process()
    fast.await_turn("create")
    slow.await_turn("create")
    assert fast_slept == []
    assert slow_slept == pytest.approx([1.05])


def test_turn_costs_one_write_and_two_where_a_line_begins(world: World) -> None:
    writes: list[str] = []
    real = world.turns.dynamodb.update_item

    class Counted(StrictFakeDynamoDB):
        def update_item(self, **call: object) -> dict[str, object]:
            writes.append("update")
            return real(**call)  # type: ignore[arg-type, return-value]

    world.turns = TurnStore(cast("DynamoDBClient", Counted()), "commerce", "stripe")
    pacer, _slept = world.process()
    for expected in (1, 1, 1):
        writes.clear()
        pacer.await_turn("create")
        assert len(writes) == expected
    other, _slept = world.process()
    writes.clear()
    other.await_turn("create")
    assert len(writes) == 2, "the first guess of a process that has seen no line"


def test_real_engine_agrees(tables: Tables) -> None:
    world = World(tables.dynamodb, tables.commerce)
    first, _first_slept = world.process(to_endpoint=1)
    second, second_slept = world.process(to_endpoint=1)
    for _ in range(5):
        first.await_turn("POST payment_intents/id/capture")
        second.await_turn("POST payment_intents/id/capture")
    second.await_turn("POST payment_intents/id/capture")
    assert second_slept == pytest.approx([1, 3, 5, 7, 9, 10])
    with pytest.raises(ProviderBusyError):
        first.await_turn("POST payment_intents/id/capture")


def test_each_call_to_stripe_takes_a_turn_of_its_endpoint(world: World) -> None:
    asked: list[str] = []

    class Noting:
        def await_turn(self, endpoint: str) -> None:
            asked.append(endpoint)

    account = Account(Behaviour.kind(), clock=ManualClock(NOW))
    calls = StripeCalls(fixed_key(API_KEY), http=InProcessClient(account), pacer=Noting())
    calls.run(Call.LIST_INTENTS, lambda api: api.payment_intents.list({}))
    calls.run(Call.SEARCH_INTENTS, lambda api: api.payment_intents.search({"query": "metadata['a']:'b'"}))
    assert asked == ["GET payment_intents", "GET payment_intents/search"]
