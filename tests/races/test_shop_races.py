"""Concurrent purchases on every engine: units, money and orders agree (Invariants 1a, 1c, 4a, 4b, 5a and 5b)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.races import shop_buyers, shop_race, shop_race_end
from tests.races.invariants import violations_in
from tests.races.race_harness import MANY_ROUNDS, RaceHarness, is_caught, report, run_control, run_rounds, sum_figures
from tests.races.shop_race import NOW, ShopRace, shares_of

pytestmark = pytest.mark.emulator

RESTLESS = 14
MUGS, CUPS = (3, 3, 2), (2, 2)
EXACTLY = (11, 9)


def run_shop_race(harness: RaceHarness, race: ShopRace) -> Counter[str]:
    shop_race.put_drops(race)
    shares = harness.run_in_processes(shop_buyers.run_share, race, NOW)
    answered_paid = {purchase_id for _, share in shares for purchase_id in share}
    figures_of_shares = [figures for figures, _ in shares]
    return sum_figures(
        [
            *figures_of_shares,
            shop_race_end.finish_race(race, harness.clock, answered_paid),
            Counter(units=race.units, buyers=race.buyers),
        ]
    )


def run_restless_buyers(harness: RaceHarness, number: int, *, reads_then_writes: bool = False) -> Counter[str]:
    """Run restless buyers who want twice the units of two drops."""
    tables = harness.tables("control" if reads_then_writes else "race")
    drops = ((f"mug-{number}", MUGS), (f"cup-{number}", CUPS))
    seed = f"restless-{number}"
    names = (tables.stock, tables.commerce, tables.sandbox)
    return run_shop_race(
        harness, ShopRace(harness.account, *names, drops, RESTLESS, seed, reads_then_writes=reads_then_writes)
    )


def run_patient_buyers(harness: RaceHarness, number: int, *, reads_then_writes: bool = False) -> Counter[str]:
    """Run patient buyers who want exactly all units, in quantities that do not fit into the buckets."""
    tables = harness.tables("control" if reads_then_writes else "race")
    seed = f"exactly-{number}"
    wanted = shares_of(sum(EXACTLY), seed)
    names = (tables.stock, tables.commerce, tables.sandbox)
    return run_shop_race(
        harness, ShopRace(harness.account, *names, ((seed, EXACTLY),), len(wanted), seed, wanted, reads_then_writes)
    )


def test_concurrent_purchases_leave_stock_money_and_orders_in_agreement(harness: RaceHarness) -> None:
    figures = run_rounds(lambda number: run_restless_buyers(harness, number))
    control = run_control(lambda number: run_restless_buyers(harness, number, reads_then_writes=True))
    report("purchases", harness.engine, figures, control)
    assert violations_in(figures) == {}
    assert figures["sold"] == figures["units"]
    assert is_caught(control), "reading, then writing, was not caught"
    if figures["rounds"] >= MANY_ROUNDS:
        assert min(figures[name] for name in ("reclaims", "replays", "refunds", "purchases_cancelled")) > 0


def test_demand_equal_to_stock_is_served_completely(harness: RaceHarness) -> None:
    figures = run_rounds(lambda number: run_patient_buyers(harness, number))
    control = run_control(lambda number: run_patient_buyers(harness, number, reads_then_writes=True))
    report("demand equals stock", harness.engine, figures, control)
    assert violations_in(figures) == {}
    assert figures["sold"] == figures["units"]
    assert is_caught(control), "reading, then writing, was not caught"
