"""Whoever ends an order beside a worker that pays for it: it is charged and has its goods, or neither.

Small worlds, so that the few calls that matter meet often: one order, two workers, and an operator who holds it and
gives it up or releases it, or another buyer's decline which makes the order's one attempt one too many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
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
from chalicelib.purchase import Caller, CheckoutContext, CompleteRequest, Purchase
from chalicelib.risk import DeclineLimits, Risk, RiskRules
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.worlds.provider import SimulatedProvider
from tests.simulation.worlds.purchases import RETRYABLE_ERRORS, PurchaseWorld

CLOCK_JUMPS = (1_000, 4_000, 40_000, 61_000)


class SingleOrderWorld(PurchaseWorld):
    """One order of ada's; bob's is declined, where ``limited``."""

    def __init__(self, seed: int, *, limited: bool) -> None:
        self.limited = limited
        super().__init__(seed)

    def new_context(self) -> CheckoutContext:
        context, rules = super().new_context(), RiskRules(DeclineLimits(email=int(self.limited)))
        return replace(context, risk=Risk(self.simulator.client, "commerce", context.stock, rules))

    def place_order(self, name: str, token: str) -> str:
        """Before the play: an order is placed."""
        created: Any = create_purchase(self.context, self.change(name, 1), self.simulator.now)
        purchase_id: str = created.purchase.id
        complete_purchase(
            self.context,
            purchase_id,
            CompleteRequest(Caller("web"), f"{name}-pay", token, "sandbox", "i", "card", token),
            self.simulator.now,
        )
        self.purchase_ids.add(purchase_id)
        return purchase_id

    def capture_process(self, purchase_id: str) -> Callable[[], None]:
        context = self.new_context()

        def run() -> None:
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


def run_schedule(seed: int, faults: str, *, limited: bool) -> Counter[str]:
    """Ada's order, paid for by two workers, beside an operator or beside bob's decline."""
    world = SingleOrderWorld(seed, limited=limited)
    world.codes = ()
    ada, bob = world.place_order("ada", "ok"), world.place_order("bob", "declined")
    for purchase_id in (ada, ada, bob):
        world.simulator.add_process(world.capture_process(purchase_id), FAULT_CLASSES[faults])
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
        f"held, {faults}",
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
        f"too many, {faults}",
        seeds,
        lambda seed: run_schedule(seed, faults, limited=True),
        expected_events=["paid", "refused"],
    )


_real_search = SimulatedProvider._search


def _skips_second_read(context: CheckoutContext, purchase: Purchase) -> None:
    """Money is asked for, whatever became of the order meanwhile."""


def _refuses_without_note(context: CheckoutContext, purchase: Purchase, now: Instant) -> Failed:
    """What is ended is not noted first."""
    provider_id = payment_of(purchase).provider_id
    return fail_attempt.fail_attempt(context, purchase, "too_many_attempts", provider_id, now)


def _believes_lagging_search(
    self: SimulatedProvider, *named: Any, now: Instant, provider_id: str | None = None, since: int = 0
) -> Any:
    """A search that lags is believed."""
    return _real_search(self, *named, now=now, provider_id=provider_id)


@pytest.mark.parametrize(
    ("where", "name", "wrong", "limited"),
    [
        (take_payment, "_ensure_unchanged", _skips_second_read, False),
        (process_payment, "_refuse_attempt", _refuses_without_note, True),
        (SimulatedProvider, "_search", _believes_lagging_search, False),
        (SimulatedProvider, "_search", _believes_lagging_search, True),
    ],
    ids=[
        "a capture that does not look again",
        "an attempt refused without a note",
        "a held order given up by a search that lags",
        "an attempt refused by a search that lags",
    ],
)
def test_the_search_catches(
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
