"""An order that ends while a worker captures it is charged and has its units, or neither (Invariants 5a and 5b).

The worlds are small, so that the few calls that matter often overlap: one order and two workers, and one of two
rivals. One rival is an operator who puts the order on hold and cancels or releases it. The other is a second buyer's
decline, after which the order's attempt exceeds the velocity limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from chalicelib import capture
from chalicelib.capture import (
    cancel_order,
    fail_attempt,
    process_payment,
    put_on_hold,
    release_from_hold,
    take_payment,
)
from chalicelib.capture.attempt import Failed, payment_of
from chalicelib.checkout import complete_purchase, create_purchase
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext, Purchase
from chalicelib.risk import DeclineLimits, FraudRules
from tests.builders.purchases import a_complete_request
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, RETRYABLE_ERRORS
from tests.simulation.worlds.provider import NewProvider, SimulatedProvider, SimulatedSandbox
from tests.simulation.worlds.purchases import CLOCK_JUMPS, PurchaseWorld


class SingleOrderWorld(PurchaseWorld):
    """One order of ada. Where ``limited``, one decline of bob exceeds the velocity limit."""

    def __init__(self, seed: int, *, limited: bool, new_provider: NewProvider = SimulatedSandbox) -> None:
        self.limited = limited
        super().__init__(seed, new_provider)

    def new_context(self, **fields: Any) -> CheckoutContext:
        return super().new_context(fraud_rules=FraudRules(DeclineLimits(email=int(self.limited))), **fields)

    def place_order(self, name: str, token: str) -> str:
        """Place an order before the run."""
        created: Any = create_purchase(self.context, self.change(name, 1), self.simulator.now)
        purchase_id: str = created.purchase.id
        complete_purchase(
            self.context,
            purchase_id,
            a_complete_request(self.provider.token(token, name), f"{name}-pay"),
            self.simulator.now,
        )
        self.purchase_ids.add(purchase_id)
        return purchase_id

    def capture_process(self, purchase_id: str, *, idle_turns: int = 0) -> Callable[[], None]:
        context = self.new_context()

        def run() -> None:
            self.simulator.stay_idle(idle_turns)
            for _ in range(4):
                with suppress(*RETRYABLE_ERRORS):
                    capture.process_attempt(context, purchase_id, 1, self.simulator.now)

        return run

    def order_hold_process(self, purchase_id: str, *, releases: bool) -> Callable[[], None]:
        context = self.new_context()

        def run() -> None:
            for _ in range(3):
                with suppress(*RETRYABLE_ERRORS):
                    put_on_hold(context, purchase_id, "ann", self.simulator.now)
                    if releases:
                        release_from_hold(context, purchase_id, "ann", self.simulator.now)
                    cancel_order(context, purchase_id, "cancel", "", "ann", self.simulator.now)

        return run


def run_schedule(
    seed: int, faults: str, *, limited: bool, new_provider: NewProvider = SimulatedSandbox
) -> Counter[str]:
    """Let two workers capture ada's order beside an operator or beside bob's decline."""
    world = SingleOrderWorld(seed, limited=limited, new_provider=new_provider)
    world.codes = ()
    ada, bob = world.place_order("ada", "ok"), world.place_order("bob", "declined")
    max_idle = 40 * (limited and world.provider.name == "stripe")  # bob's decline takes several calls there
    for purchase_id in (ada, ada, bob):
        idle_turns = world.random.randrange(max_idle) if max_idle and purchase_id == ada else 0
        world.simulator.add_process(world.capture_process(purchase_id, idle_turns=idle_turns), FAULT_CLASSES[faults])
    if not limited:
        world.simulator.add_process(world.order_hold_process(ada, releases=bool(seed // 8 % 2)), FAULT_CLASSES[faults])
    world.simulator.run(CLOCK_JUMPS)
    world.check_at_rest()
    payment = next(purchase.payment for purchase in world.purchases() if purchase.id == ada)
    world.simulator.events_seen["refused"] += payment is not None and payment.failure == "too_many_attempts"
    return world.simulator.events_seen


@parametrize_seeds(80)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_an_order_put_on_hold_during_capture_is_charged_with_stock_or_not_at_all(
    search: ScheduleSearch, faults: str, seeds: range
) -> None:
    search.expect_invariants_hold(
        f"order on hold, {faults}",
        seeds,
        lambda seed: run_schedule(seed, faults, limited=False),
        expected_events=["paid", "cancelled"],
    )


@parametrize_seeds(80)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_an_attempt_beyond_the_limit_is_charged_with_stock_or_not_at_all(
    search: ScheduleSearch, faults: str, seeds: range
) -> None:
    search.expect_invariants_hold(
        f"attempt beyond the limit, {faults}",
        seeds,
        lambda seed: run_schedule(seed, faults, limited=True),
        expected_events=["paid", "refused"],
    )


_real_search = SimulatedProvider._search


def _skip_second_read(context: CheckoutContext, purchase: Purchase) -> None:
    """Capture without reading the order again."""


def _refuse_without_note(context: CheckoutContext, purchase: Purchase, failure: str, now: Instant) -> Failed:
    """End an attempt without first storing that it is refused."""
    provider_id = payment_of(purchase).provider_id
    return fail_attempt.fail_attempt(context, purchase, failure, provider_id, now)


def _trust_lagging_search(
    self: SimulatedProvider, *named: Any, now: Instant, provider_id: str | None = None, **_: Any
) -> Any:
    """Trust that a search finds every payment at once."""
    return _real_search(self, *named, now=now, provider_id=provider_id)


@pytest.mark.parametrize(
    ("where", "name", "wrong", "limited"),
    [
        (take_payment, "_ensure_unchanged", _skip_second_read, False),
        (process_payment, "end_attempt_early", _refuse_without_note, True),
        (SimulatedProvider, "_search", _trust_lagging_search, False),
        (SimulatedProvider, "_search", _trust_lagging_search, True),
    ],
    ids=[
        "a capture that does not read the order again",
        "an attempt refused without a note",
        "a held order cancelled by a lagging search",
        "an attempt refused by a lagging search",
    ],
)
def test_the_search_catches_the_control(
    search: ScheduleSearch,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    wrong: object,
    limited: bool,
) -> None:
    monkeypatch.setattr(where, name, wrong)
    search.expect_control_caught(
        request.node.callspec.id, 600, lambda seed: run_schedule(seed, "doubled", limited=limited)
    )
