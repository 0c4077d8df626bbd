"""A repair of a drop, run whole between any two calls of a sale, and a sale between any two calls of a repair."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.recovery import expected_holds
from chalicelib.stock import expressions
from tests.crashes.actions import (
    advance_clock,
    cancel_checkout,
    change_stock,
    complete_checkout,
    create_checkout,
    deliver_capture,
    pay_order,
    refund_units,
    repair_drop,
    update_checkout,
)
from tests.crashes.connection import InterruptedConnection
from tests.crashes.crash_world import Action, CrashableProcess, CrashWorld, repeat_until_done, run_action
from tests.crashes.invariants import InvariantsAfterWrite, check_invariants
from tests.crashes.test_crashes import in_memory_worlds_of, sequential_reads_without_logs
from tests.crashes.use_case import UseCase
from tests.crashes.use_cases import USE_CASES
from tests.fakes.aws import TABLES

__all__ = ["sequential_reads_without_logs"]

ADA, BOB, CYD = "ada", "bob", "cyd"
MAX_REQUEST_AGE: Instant = 57 * SECOND
"""A request may be as old as this when a repair comes: no function lives longer, and clocks differ by two seconds."""


def in_sequence(*actions: Action) -> Action:
    def action(world: CrashWorld, process: CrashableProcess) -> None:
        for one in actions:
            one(world, process)

    return action


SALES = [
    UseCase(
        "bought",
        (),
        in_sequence(create_checkout(ADA, ("mug", 1), ("lamp", 2)), complete_checkout(ADA), deliver_capture(ADA)),
    ),
    UseCase(
        "changed, declined and paid",
        (create_checkout(ADA, ("lamp", 3)), advance_clock(20 * SECOND)),
        in_sequence(
            *(update_checkout(ADA, ("lamp", 1), ("mug", 2)), complete_checkout(ADA, "declined"), deliver_capture(ADA)),
            *(complete_checkout(ADA, "ok", "again"), deliver_capture(ADA, 2)),
        ),
    ),
    UseCase(
        "grown late", (create_checkout(ADA, ("lamp", 1)), advance_clock(19 * MINUTE)), update_checkout(ADA, ("lamp", 2))
    ),
    UseCase("cancelled", (create_checkout(ADA, ("lamp", 2)), advance_clock(2 * MINUTE)), cancel_checkout(ADA)),
    UseCase(
        "taken from a lapsed hold",
        (create_checkout(BOB, ("mug", 3)), advance_clock(11 * MINUTE)),
        in_sequence(create_checkout(ADA, ("mug", 3)), complete_checkout(ADA), deliver_capture(ADA)),
    ),
    UseCase(
        "refunded", (*pay_order(ADA, ("lamp", 3)), advance_clock(2 * MINUTE)), refund_units(ADA, (0, 2), restock=True)
    ),
]


def repair_both_drops(world: CrashWorld) -> None:
    for drop in ("mug", "lamp"):
        world.new_process().repair_drop(drop, world.now + MAX_REQUEST_AGE)


def stored_state(world: CrashWorld) -> list[list[str]]:
    """All buckets, purchases and payments; live summaries, which a repair may make anew, and what a drop's risk took
    from them, are not compared."""
    records = [record for table in TABLES for record in world.fake_aws.records(table) if record.get("sk") != "LIVE"]
    kept = [{name: value for name, value in record.items() if name != "sold_before"} for record in records]
    return [sorted(map(repr, kept)), sorted(map(repr, world.fake_aws.queues.items()))]


def repair_before_each_call(sale: UseCase) -> tuple[int, list[str]]:
    """How many calls the sale has, and where a repair before one of them changed what stands in the end."""
    fresh = in_memory_worlds_of(sale)
    connection, alone = InterruptedConnection(), fresh()
    assert run_action(alone, sale.action, alone.new_process(connection))
    changed = []
    for before in range(1, len(connection.calls) + 1):
        world = fresh()
        world.watch(InvariantsAfterWrite())
        run_action(
            world,
            sale.action,
            world.new_process(InterruptedConnection(before_call=before, meanwhile=partial(repair_both_drops, world))),
        )
        if stored_state(world) != stored_state(alone) or world.violations:
            changed.append(f"{before}: {connection.calls[before - 1]}")
    return len(connection.calls), changed


@pytest.mark.parametrize("sale", SALES, ids=lambda sale: sale.name)
def test_a_repair_at_any_instant_of_a_sale_changes_nothing(sale: UseCase) -> None:
    calls, changed = repair_before_each_call(sale)
    assert calls >= 3
    assert changed == []


def without_grace_period(patch: pytest.MonkeyPatch) -> None:
    """What was written just now is judged."""
    patch.setattr(expected_holds, "SETTLE_PERIOD", 0)


def without_max_hold(patch: pytest.MonkeyPatch) -> None:
    """A hold's age follows from its end, also where the line's time cut it short."""
    real = expected_holds.GracePeriod.is_recent_hold

    def leaves_hold(self: expected_holds.GracePeriod, standing: Any) -> bool:
        return real(expected_holds.GracePeriod(self.now, self.hold_seconds, self.drop_changed_at), standing)

    patch.setattr(expected_holds.GracePeriod, "is_recent_hold", leaves_hold)


@pytest.mark.parametrize(("wrong", "name"), [(without_grace_period, "bought"), (without_max_hold, "grown late")])
def test_repairs_that_harm_a_sale_are_caught(
    wrong: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch)
    (sale,) = (sale for sale in SALES if sale.name == name)
    assert repair_before_each_call(sale)[1] != []


# A sale between any two calls of a repair.

CORRUPTED = [case for case in USE_CASES if case.name.startswith("repair a drop: ")]
EXPECTED_FAULTS = {
    "repair a drop: a hold of nobody, and an order that was not sold its units": {"unnamed": 1, "unsold": 1},
    "repair a drop: a plan, a shrink and a cancellation that stopped halfway": {"given_up": 1, "surplus": 1},
}
RIVAL_ACTIONS: dict[str, Action] = {
    "the buyer who died asks again": create_checkout(CYD, ("lamp", 2)),
    "and pays": in_sequence(create_checkout(CYD, ("lamp", 2)), complete_checkout(CYD), deliver_capture(CYD)),
    "the others go on": in_sequence(
        deliver_capture(ADA), deliver_capture(BOB), cancel_checkout(BOB), complete_checkout(ADA), deliver_capture(ADA)
    ),
    "somebody takes what there is": in_sequence(
        create_checkout("dan", ("lamp", 20)),
        create_checkout("eve", ("lamp", 20)),
        complete_checkout("dan"),
        deliver_capture("dan"),
    ),
    "an operator takes stock away": change_stock("lamp", -12, "less"),
    "another repair": repair_drop("lamp"),
}


@pytest.mark.parametrize("case", CORRUPTED, ids=lambda case: case.name)
def test_repair_finds_the_corruption(case: UseCase) -> None:
    world = in_memory_worlds_of(case)()
    found = world.new_process().repair_drop("lamp", world.now)
    assert found["counts"]["by_reason"] == EXPECTED_FAULTS[case.name]
    world.deliver()
    again = world.new_process().repair_drop("lamp", world.now + 2 * MINUTE)
    assert (again["mismatches"], again["counts"]["by_reason"]) == ([], {})


def act_before_each_call(case: UseCase, action: Action) -> tuple[int, list[str]]:
    """How many calls the repair has, and which rules broke where the act came before one of them."""
    fresh = in_memory_worlds_of(case)
    connection, alone = InterruptedConnection(), fresh()
    assert run_action(alone, case.action, alone.new_process(connection))
    violations = []
    for before in range(1, len(connection.calls) + 1):
        world = fresh()
        world.watch(InvariantsAfterWrite())
        meanwhile = partial(run_action, world, action, world.new_process())
        run_action(
            world, case.action, world.new_process(InterruptedConnection(before_call=before, meanwhile=meanwhile))
        )
        repeat_until_done(world, action)
        world.settle()
        violations += [
            f"{before}, {connection.calls[before - 1]}: {rule}" for rule in world.violations + check_invariants(world)
        ]
    return len(connection.calls), violations


@pytest.mark.parametrize("meanwhile", RIVAL_ACTIONS)
@pytest.mark.parametrize("case", CORRUPTED, ids=lambda case: case.name)
def test_a_sale_at_any_instant_of_a_repair_is_not_harmed(case: UseCase, meanwhile: str) -> None:
    calls, broken = act_before_each_call(case, RIVAL_ACTIONS[meanwhile])
    assert calls >= 10
    assert broken == []


def test_a_repair_that_frees_what_it_has_not_seen_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    careful = expressions.release_orphan

    def careless(hold_id: str, seen: Any, *, leave_tombstone: bool) -> expressions.Write:
        write = careful(hold_id, seen, leave_tombstone=leave_tombstone)
        values = {name: value for name, value in write.values.items() if name != ":seen"}
        return expressions.Write(write.update, f"attribute_exists({expressions.HOLDS}.#h)", values, write.names)

    monkeypatch.setattr(expressions, "release_orphan", careless)
    assert act_before_each_call(CORRUPTED[0], RIVAL_ACTIONS["and pays"])[1] != []
