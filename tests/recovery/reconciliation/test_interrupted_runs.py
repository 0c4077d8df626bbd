"""Runs that die after any write, and rivals before any write, end where one run ends that nothing disturbs."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import pytest

from chalicelib.finance import entries_of, movement_entry
from chalicelib.instants import DAY
from chalicelib.recovery import reconcile_payments
from chalicelib.recovery.reconciliation import ComparisonStore
from chalicelib.streams.jobs import capture_enqueuer
from tests.crashes.actions import open_shop, pay_order, purchase_id_of
from tests.crashes.connection import CallFault, Connection, InterruptedConnection
from tests.crashes.crash_world import TIME_ZONE, CrashableProcess, CrashWorld
from tests.crashes.stripe_actions import account_of, lose_dispute, open_dispute, pay_elsewhere, refund_at_provider
from tests.crashes.stripe_provider import StripeProvider
from tests.crashes.use_case import ADA, BOB, CYD
from tests.fakes.aws import in_memory_aws
from tests.fakes.process_died import ProcessDied
from tests.payments.stripe_requests import MARK

pytestmark = pytest.mark.usefixtures("without_logs")

BUYERS = (ADA, BOB, CYD)
WORK_OF_RUNS = ("saves", "enqueued", "refunds_recorded", "disputes_recorded")
"""Counts of what runs did. The next run does not repeat what a run did that died before it was saved."""
WRITES = ("put_item", "update_item", "transact_write_items")
SHORT = 12
"""Questions for the time, after which a run stops between two orders."""


@pytest.fixture(scope="module")
def shop() -> CrashWorld:
    """Three orders, of which a refund and a dispute have lost their events, and payments without an order.

    The follower alone finds what moved three days ago. The payouts of the last two days are read twice.
    """
    world = CrashWorld(in_memory_aws(), StripeProvider)
    open_shop(world)
    orders = [action for buyer in BUYERS for action in pay_order(buyer, ("lamp", 1))]
    for action in (*orders, refund_at_provider(ADA, 300), open_dispute(BOB), lose_dispute, pay_elsewhere):
        action(world, world.new_process())
    account_of(world).foreign_payment(metadata={"livedrop": MARK, "purchase": "unknown", "attempt": "1"})
    world.advance_clock(3 * DAY)
    world.lose_messages()
    return world


def run(world: CrashWorld, process: CrashableProcess, questions: int | None = None) -> bool:
    """Run once as the schedule does. Return whether the comparison is complete."""
    left = iter(range(questions)) if questions is not None else None
    report = reconcile_payments(
        process.context,
        capture_enqueuer(process.queues["captures"]),
        lambda: world.now,
        lambda: left is not None and next(left, None) is None,
    )
    return report.complete


def run_until_complete(world: CrashWorld, connection: Connection, questions: int | None) -> None:
    """Run until the comparison is complete. A run that dies is followed by one in a new process."""
    for _ in range(12):
        try:
            if run(world, world.new_process(connection), questions):
                return
        except ProcessDied:
            connection = Connection()
    raise AssertionError("the comparison is never complete")


def outcome(world: CrashWorld) -> dict[str, Any]:
    """Return what is stored of the comparison, the movements, the ledger and the orders, after all deliveries."""
    world.deliver()
    process = world.new_process()
    purchases = process.purchases
    comparison = ComparisonStore(purchases.dynamodb, purchases.commerce_table).latest("stripe")
    assert comparison is not None
    ledger = process.ledger.read(key for key in world.fake_aws.objects() if key.startswith("ledger/"))
    assert ledger.conflicts == set()
    orders = [purchases.read(purchase_id_of(buyer)) for buyer in BUYERS]
    return {
        "comparison": {name: value for name, value in asdict(comparison).items() if name not in WORK_OF_RUNS},
        "movements": sorted(process.context.movements.scan(), key=lambda one: one.id),
        "entries": ledger.entries,
        "orders": [one.model_dump(exclude={"version"}) for one in orders if one is not None],
    }


def test_undisturbed_runs_record_everything_and_book_each_movement_once(shop: CrashWorld) -> None:
    world = shop.fork()
    run_until_complete(world, Connection(), None)
    found = outcome(world)
    at_provider = {one["id"]: one["net"] for one in account_of(world).records("balance_transaction")}
    assert {one.id: one.net for one in found["movements"]} == at_provider
    assert len(found["movements"]) == len(at_provider) == 10
    purchases = [world.new_process().purchases.read(purchase_id_of(buyer)) for buyer in BUYERS]
    expected = [movement_entry(one, TIME_ZONE) for one in found["movements"]]
    expected += [entry for one in purchases if one is not None for entry in entries_of(one, TIME_ZONE)]
    assert found["entries"] == {entry.id: entry for entry in expected}
    assert [(len(one["refunds"]), len(one["disputes"])) for one in found["orders"]] == [(1, 0), (0, 1), (0, 0)]
    assert [one["kind"] for one in found["comparison"]["differences"]] == ["no_order"]
    assert sum(found["comparison"]["sums"]["GBP"].values()) == sum(at_provider.values())


@pytest.mark.parametrize("questions", [None, SHORT])
def test_runs_that_die_after_any_write_end_as_if_nothing_had_happened(shop: CrashWorld, questions: int | None) -> None:
    expected, writes = outcome_of_one_run(shop), writes_of(shop, questions)
    for call in writes:
        world = shop.fork()
        run_until_complete(world, Connection(CallFault.DIED_AFTER, call), questions)
        assert outcome(world) == expected, call


@pytest.mark.parametrize(("questions", "rival_questions"), [(None, SHORT), (SHORT, None)])
def test_rival_before_any_write_changes_nothing(
    shop: CrashWorld, questions: int | None, rival_questions: int | None
) -> None:
    expected, writes = outcome_of_one_run(shop), writes_of(shop, questions)
    for call in writes:
        world = shop.fork()
        rival = partial(run_beside, world, rival_questions)
        run_until_complete(world, InterruptedConnection(before_call=call, meanwhile=rival), questions)
        assert outcome(world) == expected, call


def outcome_of_one_run(shop: CrashWorld) -> dict[str, Any]:
    world = shop.fork()
    assert run(world, world.new_process())
    return outcome(world)


def writes_of(shop: CrashWorld, questions: int | None) -> list[int]:
    """Return the numbers of the calls that write, without a fault."""
    world, connection = shop.fork(), Connection()
    run_until_complete(world, connection, questions)
    writes = [number for number, call in enumerate(connection.calls, 1) if call in WRITES]
    assert len(writes) > 20
    return writes


def run_beside(world: CrashWorld, questions: int | None) -> None:
    run(world, world.new_process(), questions)
