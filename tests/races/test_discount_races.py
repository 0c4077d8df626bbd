"""A discount budget under 64 buyers at once is used exactly and never exceeded, on every engine (Invariant 1e)."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.discounts import PutDiscountRequest
from chalicelib.instants import SECOND, rfc3339
from chalicelib.purchase import CheckoutContext
from chalicelib.shows import PutDropRequest, PutShowRequest
from tests.builders.purchases import NOW
from tests.races import discount_race
from tests.races.discount_race import CODE, LATER, DiscountRace, DiscountRaceProcess, budget_of, discounts_used
from tests.races.race_harness import ROUNDS, RaceHarness

pytestmark = pytest.mark.emulator

BUYERS, USES, DECLINED = 64, 30, 12
OFF, MONEY = 125, 2_600


def open_race(
    harness: RaceHarness, name: str, budget: dict[str, Any], **changes: Any
) -> tuple[DiscountRace, CheckoutContext]:
    """Open a shop with units for every buyer, and a code with a budget."""
    tables = harness.tables(name)
    race = DiscountRace(harness.account, tables.stock, tables.commerce, tables.sandbox, "mug", BUYERS, **changes)
    context = DiscountRaceProcess(race, 0, 1).context
    long_ago = rfc3339(NOW - 60 * SECOND)
    show = {"title": "Rush", "currency": "GBP", "starts_at": long_ago}
    context.shows.put_show("rush", PutShowRequest.from_body(show), "test", NOW - 60 * SECOND)
    drop = {"show_id": "rush", "sku": "M", "title": "Mug", "stock": 4 * BUYERS, "opens_at": long_ago}
    price = {"amount": 1_250, "currency": "GBP"}
    context.shows.put_drop("mug", PutDropRequest.from_body(drop | {"unit_price": price}), "test", NOW - 60 * SECOND)
    offer = {"title": "Rush", "amount": {"amount": OFF, "currency": "GBP"}}
    context.discounts.put(CODE, PutDiscountRequest.from_body(offer | budget), None, "test", NOW)
    return race, context


def run_discount_race(harness: RaceHarness, race: DiscountRace, context: CheckoutContext) -> list[int]:
    """Run the rush and then the retries of refused buyers. Return the amount off each order with the code."""
    shares = harness.run_in_processes(discount_race.run_rush, race, NOW)
    purchase_ids = [one for _, share in shares for one in share]
    assert len(set(purchase_ids)) == BUYERS
    if not race.reads_then_writes:
        context.stock.refresh(budget_of(context).pool, LATER)  # as the stream handler does
        harness.run_in_processes(discount_race.run_retries, race, LATER)
    return discounts_used(context, purchase_ids)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_code_under_64_buyers_is_used_exactly_as_often_as_its_budget_allows(harness: RaceHarness, number: int) -> None:
    """Declined buyers return their uses, and other buyers get them."""
    race, context = open_race(harness, f"uses-{number}", {"budget_uses": USES}, declined=DECLINED)
    used = run_discount_race(harness, race, context)
    assert used == [OFF] * USES
    audit = context.stock.audit(budget_of(context).pool, USES, LATER)
    assert (audit.mismatches, audit.sold, audit.available) == ((), USES, 0)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_money_budget_is_spent_until_no_bucket_has_enough_for_another_use(harness: RaceHarness, number: int) -> None:
    money = {"budget_amount": {"amount": MONEY, "currency": "GBP"}}
    race, context = open_race(harness, f"money-{number}", money, declined=DECLINED)
    used = run_discount_race(harness, race, context)
    audit = context.stock.audit(budget_of(context).pool, MONEY, LATER)
    assert (audit.mismatches, audit.sold) == ((), sum(used))
    assert sum(used) <= MONEY
    assert max(bucket.available for bucket in audit.buckets) < OFF
    assert len(audit.buckets) > 1


def test_control_that_reads_then_writes_overspends(harness: RaceHarness) -> None:
    race, context = open_race(harness, "control", {"budget_uses": USES}, reads_then_writes=True)
    used = run_discount_race(harness, race, context)
    assert len(used) > USES, "reading, then writing, was not caught"
