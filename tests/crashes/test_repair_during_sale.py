"""A drop's repair between any two calls of a sale, and a sale between any two calls of a repair."""

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
from tests.crashes.use_case import ADA, BOB, CYD, UseCase
from tests.crashes.use_cases import USE_CASES
from tests.fakes.aws import TABLES

__all__ = ["sequential_reads_without_logs"]

MAX_REQUEST_AGE: Instant = 57 * SECOND
"""The greatest age of a request during a repair: a function's lifetime, and a clock difference of two seconds."""


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
        "taken from an expired hold",
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
    """Return all buckets, purchases, payments and messages as text.

    A repair may refresh live summaries, so neither they nor the figures that risk takes from them are compared.
    """
    records = [record for table in TABLES for record in world.fake_aws.records(table) if record.get("sk") != "LIVE"]
    compared = [{name: value for name, value in record.items() if name != "sold_before"} for record in records]
    return [sorted(map(repr, compared)), sorted(map(repr, world.fake_aws.queues.items()))]


def repair_before_each_call(sale: UseCase) -> tuple[int, list[str]]:
    """Count the sale's calls, and list those before which a repair changed the final state."""
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
def test_repair_before_any_call_of_a_sale_changes_nothing(sale: UseCase) -> None:
    calls, changed = repair_before_each_call(sale)
    assert calls >= 3
    assert changed == []


def without_grace_period(patch: pytest.MonkeyPatch) -> None:
    """Classify recent writes, too."""
    patch.setattr(expected_holds, "SETTLE_PERIOD", 0)


def without_max_hold(patch: pytest.MonkeyPatch) -> None:
    """Derive a hold's age from its end alone, although the end of its line may have cut it short."""
    real = expected_holds.GracePeriod.is_recent_hold

    def is_recent_by_end(self: expected_holds.GracePeriod, status: Any) -> bool:
        return real(expected_holds.GracePeriod(self.now, self.hold_seconds, self.drop_changed_at), status)

    patch.setattr(expected_holds.GracePeriod, "is_recent_hold", is_recent_by_end)


@pytest.mark.parametrize(("wrong", "name"), [(without_grace_period, "bought"), (without_max_hold, "grown late")])
def test_control_that_harms_a_sale_is_caught(
    wrong: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong(monkeypatch)
    (sale,) = (sale for sale in SALES if sale.name == name)
    assert repair_before_each_call(sale)[1] != []


# A sale between any two calls of a repair.

CORRUPTED = [case for case in USE_CASES if case.name.startswith("repair a drop: ")]
EXPECTED_FAULTS = {
    "repair a drop: an orphaned hold, and an order without committed units": {"unnamed": 1, "unsold": 1},
    "repair a drop: a plan, a shrink and a cancellation that stopped halfway": {"given_up": 1, "surplus": 1},
}
RIVAL_ACTIONS: dict[str, Action] = {
    "the dead request is repeated": create_checkout(CYD, ("lamp", 2)),
    "the dead request is repeated and paid": in_sequence(
        create_checkout(CYD, ("lamp", 2)), complete_checkout(CYD), deliver_capture(CYD)
    ),
    "the other buyers continue": in_sequence(
        deliver_capture(ADA), deliver_capture(BOB), cancel_checkout(BOB), complete_checkout(ADA), deliver_capture(ADA)
    ),
    "other buyers take all units": in_sequence(
        create_checkout("dan", ("lamp", 20)),
        create_checkout("eve", ("lamp", 20)),
        complete_checkout("dan"),
        deliver_capture("dan"),
    ),
    "an operator reduces stock": change_stock("lamp", -12, "less"),
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
    """Count the repair's calls, and list the violations when ``action`` runs before one of them."""
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
            f"{before}, {connection.calls[before - 1]}: {violation}"
            for violation in world.violations + check_invariants(world)
        ]
    return len(connection.calls), violations


@pytest.mark.parametrize("meanwhile", RIVAL_ACTIONS)
@pytest.mark.parametrize("case", CORRUPTED, ids=lambda case: case.name)
def test_action_before_any_call_of_a_repair_is_not_harmed(case: UseCase, meanwhile: str) -> None:
    calls, violations = act_before_each_call(case, RIVAL_ACTIONS[meanwhile])
    assert calls >= 10
    assert violations == []


def test_control_that_releases_what_it_has_not_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = expressions.release_orphan

    def release_unread(hold_id: str, entry: Any, *, leave_tombstone: bool) -> expressions.Write:
        write = real(hold_id, entry, leave_tombstone=leave_tombstone)
        values = {name: value for name, value in write.values.items() if name != ":seen"}
        return expressions.Write(write.update, f"attribute_exists({expressions.HOLDS}.#h)", values, write.names)

    monkeypatch.setattr(expressions, "release_orphan", release_unread)
    assert act_before_each_call(CORRUPTED[0], RIVAL_ACTIONS["the dead request is repeated and paid"])[1] != []
