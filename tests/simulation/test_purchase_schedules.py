"""No schedule charges without units, strands a unit or leaves money reserved (Invariants 1c, 4a, 5a and 5b).

The product's own code runs with the sandbox provider in the simulator. Two of three buyers send every request twice at
once, as browsers and agents do. Each copy is sent again while it has no answer.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from chalicelib.capture import process_payment, take_payment
from chalicelib.capture.commit_stock import StockCommitted
from chalicelib.checkout import complete, discount_budgets
from chalicelib.discounts import AppliedDiscount
from chalicelib.purchase import (
    CheckoutContext,
    CompleteRequest,
    Purchase,
    PurchaseStore,
    Refused,
    Replayed,
    Written,
    changed_meanwhile,
    replace_or_replay,
)
from chalicelib.stock import RevertedToHold, Stock
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.worlds.provider import NewProvider, SimulatedSandbox
from tests.simulation.worlds.purchases import CLOCK_JUMPS, PurchaseWorld


def run_schedule(
    seed: int,
    faults: str,
    buyers: tuple[str, ...] = ("ada", "ada", "bob", "bob", "cy"),
    new_provider: NewProvider = SimulatedSandbox,
) -> Counter[str]:
    """Run buyers beside two workers. A name that occurs twice is a buyer who sends each request twice."""
    world = PurchaseWorld(seed, new_provider)
    for name in buyers:
        world.simulator.add_process(world.buyer_process(name), FAULT_CLASSES[faults])
    for _ in range(2):
        world.simulator.add_process(world.worker_process(), FAULT_CLASSES[faults])
    if seed // 8 % 2:
        world.simulator.add_process(world.operator_process(), FAULT_CLASSES[faults])
    world.simulator.run(CLOCK_JUMPS)
    world.check_at_rest()
    assert len(world.purchase_ids) <= len(set(buyers)), "two purchases of one request"
    for request in ("change", "pay", "cancel"):
        world.simulator.events_seen[f"{request} answered twice"] += any(
            request in key and answers > 1 for key, answers in world.answers_by_key.items()
        )
    world.simulator.events_seen["create answered twice"] += any(world.answers_by_key[name] > 1 for name in buyers)
    return world.simulator.events_seen


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_no_schedule_charges_without_stock_or_strands_a_unit(search: ScheduleSearch, faults: str, seeds: range) -> None:
    twice = [f"{request} answered twice" for request in ("create", "change", "pay", "cancel")]
    expected = ["paid", "paid with the code", "open after a failed attempt", "processes died", *twice]
    search.expect_invariants_hold(
        f"purchase, {faults}", seeds, lambda seed: run_schedule(seed, faults), expected_events=expected
    )


def test_the_search_catches_a_worker_that_does_not_ensure_committed_stock(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (process_payment, take_payment):
        monkeypatch.setattr(module, "ensure_stock_committed", lambda context, purchase, now: StockCommitted(purchase))
    search.expect_control_caught(
        "a worker that does not ensure committed stock", 500, lambda seed: run_schedule(seed, "doubled, cut and late")
    )


def test_the_search_catches_an_attempt_ended_before_its_units_revert_to_hold(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stock, "revert_to_hold", lambda self, pool, hold, order, expires_at: RevertedToHold(expires_at))
    search.expect_control_caught(
        "an attempt ended before its units revert to hold", 500, lambda seed: run_schedule(seed, "doubled")
    )


def test_the_search_catches_uses_that_are_not_returned(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_budgets(context: CheckoutContext, purchase: Purchase, expires_at: int) -> tuple[AppliedDiscount, ...]:
        return purchase.discounts

    monkeypatch.setattr(discount_budgets, "revert_budgets_to_hold", keep_budgets)
    search.expect_control_caught("uses that are not returned", 500, lambda seed: run_schedule(seed, "doubled"))


def _forget_keys(purchase: Purchase, request: CompleteRequest, now: int) -> None:
    return None


def _conflict_instead_of_replay(*arguments: Any) -> Written:
    answer = replace_or_replay(*arguments)
    if isinstance(answer, Replayed):
        raise changed_meanwhile()
    return answer


def _put_unconditionally(self: PurchaseStore, purchase: Purchase) -> Written | Refused[Purchase]:
    return self._put(purchase, "attribute_not_exists(no)", {}, 0)


@pytest.mark.parametrize(
    "wrong_variants",
    [
        [(PurchaseStore, "create", _put_unconditionally)],
        [
            (complete, "_replayed", _forget_keys),
            (complete, "replace_or_replay", _conflict_instead_of_replay),
        ],
    ],
    ids=["a create that overwrites", "a completion that knows no key"],
)
def test_doubled_requests_catch_a_variant_that_forgets_the_first(
    search: ScheduleSearch,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    wrong_variants: list[tuple[object, str, object]],
) -> None:
    """The only fault is that requests arrive twice. Sent once each, they do no harm."""
    for where, name, wrong in wrong_variants:
        monkeypatch.setattr(where, name, wrong)
    search.expect_control_caught(request.node.callspec.id, 500, lambda seed: run_schedule(seed, "doubled"))
    assert not any(
        search.violates_invariant(seed, lambda one: run_schedule(one, "doubled", ("ada", "bob", "cy")))
        for seed in range(20)
    )
