"""The schedules of purchases, money and orders on hold, with Stripe as the provider.

The product's gateway and the unmodified SDK run over the double, whose clock is the simulator's. Each HTTP call is a
step that may be cut or late, and Stripe itself may fail at it. The double sends its own events, late, twice and out of
order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.providers import wrong_stripe
from tests.simulation import test_money_schedules as money
from tests.simulation.schedule_search import ScheduleRunner, ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.test_order_hold_schedules import run_schedule as run_order_hold_schedule
from tests.simulation.test_purchase_schedules import run_schedule as run_purchase_schedule
from tests.simulation.worlds.money import MoneyScript, MoneyWorld
from tests.simulation.worlds.stripe import GuessedStripe, SimulatedStripe


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_no_schedule_charges_without_stock_or_strands_a_unit(search: ScheduleSearch, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(
        f"purchase with Stripe, {faults}",
        seeds,
        lambda seed: run_purchase_schedule(seed, faults, new_provider=GuessedStripe),
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
        lambda seed: run_order_hold_schedule(seed, faults, limited=limited, new_provider=GuessedStripe),
        expected_events=["paid", "refused" if limited else "cancelled"],
    )


@pytest.mark.parametrize("part", range(money.PARTS))
def test_ledger_stripe_and_orders_agree_in_every_script(search: ScheduleSearch, part: int) -> None:
    events_seen: Counter[str] = Counter()

    def check_script(script: MoneyScript) -> None:
        events_seen.update(MoneyWorld(script).run())
        events_seen["schedules"] += 1

    def run_schedule(_: int) -> Counter[str]:
        money.run_scripts(money.STRIPE_SCRIPTS, money.SCRIPT_COUNT // money.PARTS, part, check_script)
        return events_seen - Counter(schedules=1)

    search.expect_invariants_hold(
        "money with Stripe",
        range(1),
        run_schedule,
        expected_events=money.EXPECTED_EVENTS + EXPECTED_EVENTS_LONG_FORM * (money.SCRIPT_COUNT >= 2_000),
    )


EXPECTED_EVENTS_LONG_FORM = [
    *money.EXPECTED_EVENTS_LONG_FORM,
    *("disputes", "fails a refund", "captures in the console", "takes other payments", "faults of the provider"),
]


def _run_order_on_hold(seed: int) -> Counter[str]:
    return run_order_hold_schedule(seed, "doubled", limited=False, new_provider=SimulatedStripe)


def _run_purchases(seed: int) -> Counter[str]:
    return run_purchase_schedule(seed, "doubled and cut", new_provider=SimulatedStripe)


def _run_money(seed: int) -> Counter[str]:
    def check_script(script: MoneyScript) -> None:
        MoneyWorld(script).run()

    money.run_scripts(money.STRIPE_SCRIPTS, 5, seed, check_script, shrinks=False)
    return Counter()


@pytest.mark.parametrize(
    ("wrong", "run_schedule", "max_schedules"),
    [
        (wrong_stripe.silent_search_believed, _run_order_on_hold, 600),
        (wrong_stripe.second_try_without_look_up, _run_purchases, 600),
        (wrong_stripe.each_event_adds_a_refund, _run_money, 120),
        (wrong_stripe.inquiry_taken_as_loss, _run_money, 120),
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
