"""However many attempts an attacker has placed at once, the provider is asked for few of them.

Who may try is read by completions and again, strongly, by each worker before it asks; a decline is counted before its
attempt ends. So at any instant no more are asked for and not yet counted than there are workers: at most
``limit - 1 + workers`` of an attacker's attempts reach the provider within a window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import BotoCoreError

from chalicelib.aws import to_item
from chalicelib.checkout import (
    DEFAULT_MARKETS,
    Buyer,
    Caller,
    Checkout,
    CheckoutResult,
    CompleteRequest,
    Destination,
    LineRequest,
    PurchaseRequest,
    PurchaseState,
    PurchaseStore,
    capture,
)
from chalicelib.checkout.declines import velocity_keys_of
from chalicelib.discounts import Discounts
from chalicelib.errors import LivedropError
from chalicelib.instants import HOUR
from chalicelib.payments import Authorisation, AuthorisationRequest, OutcomeUnknownError, SandboxGateway
from chalicelib.risk import DeclineLimits, RiskRules, StepUpRule
from chalicelib.shows import Drop, Shows
from chalicelib.stock import Stock
from tests.schedules.search import ScheduleSearch, parametrize_seeds
from tests.schedules.stage import FAULT_CLASSES, Simulator
from tests.schedules.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT_ONCE, LIMIT, WORKERS = 64, 5, 4
MAX_ATTEMPTS_AT_PROVIDER = LIMIT - 1 + WORKERS
RULES = RiskRules(DeclineLimits(email=LIMIT), StepUpRule(declines=3, percent=50))
FAILS = (BotoCoreError, LivedropError, OutcomeUnknownError)


class _Bank(SandboxGateway):
    """A provider that takes its time: others go on before it answers, and before its answer is heard."""

    def __init__(self, stage: Simulator) -> None:
        super().__init__(cast("DynamoDBClient", Table()), "sandbox")
        self._stage = stage

    def authorise(self, request: AuthorisationRequest, *, now: int) -> Authorisation:
        self._stage.yield_to_others(2)
        answer = super().authorise(request, now=now)
        self._stage.yield_to_others(2)
        return answer


class World:
    """One attacker with a bad card, as many purchases as they could hold units for, and the shop's workers."""

    def __init__(self, seed: int) -> None:
        self.stage = Simulator(seed, lambda: None)
        self.bank = _Bank(self.stage)
        drop = Drop(
            id="mug",
            show_id="s",
            sku="m",
            title="Mug",
            unit_price=1_000,
            currency="GBP",
            stock=AT_ONCE + 8,
            bucket_count=3,
            hold_seconds=600,
            opens_at=0,
        )
        record = {"pk": "DROP#mug", "sk": "DROP", **drop.model_dump(exclude_none=True)}
        self.stage.table.put_item(
            TableName="commerce", Item=to_item(record), ConditionExpression="attribute_not_exists(pk)"
        )
        checkout = self.process()
        checkout.stock.lay_out("mug", [24, 24, 24], self.stage.now)
        self.ids = [self.begun(checkout, f"p{index}") for index in range(AT_ONCE)]
        self.placed: list[str] = []
        self.refused = 0

    def process(self) -> Checkout:
        client = self.stage.client
        stock = Stock(client, "stock", "commerce")
        shows, purchases = Shows(client, "commerce", stock, 30), PurchaseStore(client, "commerce")
        discounts = Discounts(client, "commerce", stock)
        return Checkout(purchases, shows, stock, self.bank, DEFAULT_MARKETS, discounts, b"k" * 32, risk_rules=RULES)

    def begun(self, checkout: Checkout, key: str) -> str:
        change = PurchaseRequest(
            Caller("web"), key, key, (LineRequest("mug", 1),), buyer=Buyer(email="eve@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"),
        )  # fmt: skip
        answer = checkout.create(change, self.stage.now)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase.id

    def completes(self, purchase_id: str) -> Callable[[], None]:
        checkout = self.process()

        def play() -> None:
            self.stage.yield_to_others(self.stage.random.choice([0, 0, 300]))
            wish = CompleteRequest(Caller("web"), f"pay-{purchase_id}", purchase_id, "sandbox", "i", "card", "declined")
            answer = self.tried(lambda: checkout.complete(purchase_id, wish, self.stage.now))
            if answer.purchase.state is PurchaseState.PLACED:
                self.placed.append(purchase_id)
            else:
                assert answer.messages[0].code == "too_many_attempts"
                self.refused += 1

        return play

    def tried(self, ask: Callable[[], object]) -> CheckoutResult:
        """The answer, asked for until there is one."""
        while True:
            try:
                answer = ask()
            except FAILS:
                continue
            assert isinstance(answer, CheckoutResult)
            return answer

    def works(self) -> Callable[[], None]:
        """A worker: one message after another, each until it came to its end."""
        checkout = self.process()

        def play() -> None:
            idle = 0
            while idle < 200:
                if not self.placed:
                    idle += 1
                    self.stage.yield_to_others()
                    continue
                purchase_id = self.placed.pop(0)
                try:
                    checkout.process_payment(purchase_id, 1, self.stage.now)
                except FAILS:
                    self.placed.append(purchase_id)

        return play

    def asked(self) -> int:
        """Attempts that reached the provider."""
        return sum(self.bank.find(purchase_id, 1, now=self.stage.now) is not None for purchase_id in self.ids)


def play(seed: int, faults: str = "doubled", max_attempts: int = MAX_ATTEMPTS_AT_PROVIDER) -> Counter[str]:
    world = World(seed)
    for _ in range(WORKERS):
        world.stage.add_process(world.works(), FAULT_CLASSES[faults])
    for purchase_id in world.ids:
        world.stage.add_process(world.completes(purchase_id))
    world.stage.run()
    checkout = world.process()
    for purchase_id in world.ids:  # messages of workers that died come again
        checkout.process_payment(purchase_id, 1, world.stage.now)
    asked, happened = world.asked(), world.stage.events_seen
    assert LIMIT <= asked <= max_attempts
    purchases = checkout.purchases.read_all(world.ids).values()
    begun = sum(purchase.attempt for purchase in purchases)
    assert {purchase.state for purchase in purchases} == {PurchaseState.OPEN}
    counted = [item for place, item in world.stage.table.items.items() if place[-1] == "DECLINES"]
    assert [len(item) - len({"pk", "sk", "expires_at"}) for item in counted] == [asked]
    assert world.stage.table.items[("commerce", "DROP#mug", "RISK")]["declines"] <= asked
    marks = velocity_keys_of(checkout, next(iter(purchases)), "declined")
    assert checkout.risk.check_velocity(marks, world.stage.now, strong=True) is not None
    assert checkout.risk.check_velocity(marks, world.stage.now + HOUR, strong=True) is None
    happened["stopped at completion"] += world.refused > 0
    happened["stopped by the worker"] += begun > asked
    happened["as many as can be"] += asked == max_attempts
    return happened


MET = ["stopped at completion", "stopped by the worker"]


@parametrize_seeds(16)
def test_of_64_attempts_at_once_no_more_than_the_limit_and_the_workers_reach_the_provider(
    search: ScheduleSearch, seeds: range
) -> None:
    search.expect_invariants_hold("declines, at once", seeds, play, expected_events=MET)


@parametrize_seeds(8)
@pytest.mark.parametrize("faults", ["doubled and cut", "doubled, cut and late"])
def test_whatever_is_cut_each_decline_is_counted_once(search: ScheduleSearch, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(f"declines, {faults}", seeds, lambda seed: play(seed, faults, AT_ONCE))


def test_the_search_sees_as_many_as_there_can_be(search: ScheduleSearch) -> None:
    search.expect_control_caught(
        "one less than can be", 300, lambda seed: play(seed, max_attempts=MAX_ATTEMPTS_AT_PROVIDER - 1)
    )


def test_the_search_catches_workers_that_do_not_look_again(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "exceeds_velocity_limit", lambda context, purchase, now: False)
    search.expect_control_caught("workers that do not look again", 50, play)
