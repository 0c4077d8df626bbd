"""The schedules of purchases and orders on hold, with Stripe as the provider.

The product's gateway and the unmodified SDK run over the double, whose clock is the simulator's. Each HTTP call is a
step that may be cut or late, and Stripe itself may fail at it. The double sends its own events, late, twice and out of
order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.providers import wrong_stripe
from tests.simulation.schedule_search import ScheduleRunner, ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.test_order_hold_schedules import run_schedule as run_order_hold_schedule
from tests.simulation.test_purchase_schedules import run_schedule as run_purchase_schedule
from tests.simulation.worlds.stripe import SimulatedStripe


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_no_schedule_charges_without_stock_or_strands_a_unit(search: ScheduleSearch, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(
        f"purchase with Stripe, {faults}",
        seeds,
        lambda seed: run_purchase_schedule(seed, faults, new_provider=SimulatedStripe),
        expected_events=["paid", "processes died"],
    )


@parametrize_seeds(48)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
@pytest.mark.parametrize("limited", [False, True], ids=["on hold", "beyond the limit"])
def test_an_order_that_ends_during_capture_is_charged_with_stock_or_not_at_all(
    search: ScheduleSearch, faults: str, seeds: range, limited: bool
) -> None:
    name = "attempt beyond the limit" if limited else "order on hold"
    search.expect_invariants_hold(
        f"{name} with Stripe, {faults}",
        seeds,
        lambda seed: run_order_hold_schedule(seed, faults, limited=limited, new_provider=SimulatedStripe),
        expected_events=["paid", "refused" if limited else "cancelled"],
    )


def _run_order_on_hold(seed: int) -> Counter[str]:
    return run_order_hold_schedule(seed, "doubled", limited=False, new_provider=SimulatedStripe)


def _run_purchases(seed: int) -> Counter[str]:
    return run_purchase_schedule(seed, "doubled and cut", new_provider=SimulatedStripe)


@pytest.mark.parametrize(
    ("wrong", "run_schedule", "max_schedules"),
    [
        (wrong_stripe.silent_search_believed, _run_order_on_hold, 600),
        (wrong_stripe.second_try_without_look_up, _run_purchases, 600),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_the_search_catches_a_wrong_piece(
    search: ScheduleSearch,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[pytest.MonkeyPatch], None],
    run_schedule: ScheduleRunner,
    max_schedules: int,
) -> None:
    wrong(monkeypatch)
    search.expect_control_caught(f"stripe: {wrong.__name__}", max_schedules, run_schedule)
