"""The end of a race of purchases: deliver what is left, let late buyers come, and count violations."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

from chalicelib.capture import process_attempt
from chalicelib.payments import Authorised, Captured
from chalicelib.purchase import CheckoutResult, NoPurchase, Purchase, PurchaseState
from chalicelib.recovery import recover_lost_orders
from chalicelib.stock import Pool
from tests.independent_counts import units_by_drop
from tests.races.buyers_pool import send_until_answered
from tests.races.faulty_client import NO_FAULTS
from tests.races.invariants import check_final_stock, read_buckets
from tests.races.race_clock import RaceClock
from tests.races.shop_buyers import ShopRaceBuyer
from tests.races.shop_race import ShopRace, ShopRaceProcess
from tests.races.stock_race import MAX_REFUSALS, QUANTITIES, client_of


def finish_race(race: ShopRace, clock: RaceClock, answered_paid: set[str]) -> Counter[str]:
    """Deliver what is left, let all holds expire, sell the rest to late buyers, and count violations."""
    process = ShopRaceProcess(race, clock, "late", NO_FAULTS)
    _redeliver(process)
    clock.advance(1_000_000)
    for drop_id, sizes in race.drops:  # as the stream handler does within a second
        process.context.stock.refresh(Pool(drop_id, len(sizes)), clock.now())
    if not race.wanted_quantities:
        for drop_id, sizes in race.drops:
            _sell_the_rest(process, drop_id, sum(sizes))
    purchases = {purchase.id: purchase for purchase in _purchases(process)}
    found = process.collect_results()[0]
    for purchase in purchases.values():
        found["money"] += not _money_is_right(process, purchase)
        found[f"purchases_{purchase.state}"] += 1
    found["lost_sales"] += sum(
        purchases[purchase_id].state is not PurchaseState.PAID
        for purchase_id in answered_paid
        if purchase_id in purchases
    )
    found["lost_sales"] += len(answered_paid - purchases.keys())
    for drop_id, sizes in race.drops:
        may_have_by_order = {purchase.order_ref: {_sold_units(purchase, drop_id)} for purchase in purchases.values()}
        buckets = read_buckets(client_of(race.account), race.stock_table, Pool(drop_id, len(sizes)))
        found.update(check_final_stock(buckets, sum(sizes), may_have_by_order))
    if race.wanted_quantities:
        sold = Counter(_sold_units(purchase, race.drops[0][0]) for purchase in purchases.values())
        found["refused_for_good"] += (Counter(race.wanted_quantities) - sold).total()
    return found


def _purchases(process: ShopRaceProcess) -> list[Purchase]:
    return [one for one in process.context.purchases.scan() if _is_of_race(process.race, one)]


def _is_of_race(race: ShopRace, purchase: Purchase) -> bool:
    drops = {drop_id for drop_id, _ in race.drops}
    return any(line.drop_id in drops for line in purchase.lines)


def _redeliver(process: ShopRaceProcess) -> None:
    """Redeliver every message and recover orders, without faults, until every attempt has ended."""
    context, clock = process.context, process.clock
    for _ in range(4):
        clock.advance(61_000)
        for purchase in _purchases(process):
            for attempt in range(1, purchase.attempt + 1):
                send_until_answered(process.request(partial(process_attempt, context), purchase.id, attempt))
        recover_lost_orders(context, lambda purchase_id, attempt: None, clock.now())


def _sell_the_rest(process: ShopRaceProcess, drop_id: str, units: int) -> None:
    """Let late buyers of one drop buy, one after another, until the answer is "sold out"."""
    random, refused = Random(f"{process.race.seed}/{drop_id}"), 0
    for late in range(20 * units):
        if refused == MAX_REFUSALS:
            return
        buyer = ShopRaceBuyer(process, 1_000_000 + late)
        quantities = {drop_id: random.choice(QUANTITIES)}
        (answer,) = buyer.create(f"late-{drop_id}-{late}", quantities)
        if isinstance(answer, NoPurchase):
            if answer.messages[0].code == "out_of_stock":
                return
            refused += 1
            process.clock.advance(1_500)
        elif isinstance(answer, CheckoutResult):
            refused = 0
            buyer.send(buyer.complete("ok"))
            buyer.capture()


def _sold_units(purchase: Purchase, drop_id: str) -> int:
    """Count the units of a drop that a paid purchase has."""
    return units_by_drop(purchase).get(drop_id, 0) if purchase.state is PurchaseState.PAID else 0


def _money_is_right(process: ShopRaceProcess, purchase: Purchase) -> bool:
    """Whether a paid purchase was captured by its last attempt alone, and any other by none.

    Neither may have money reserved or an attempt that has not ended.
    """
    captured = []
    for attempt in range(1, purchase.attempt + 1):
        found = process.gateway.find(purchase.id, attempt, now=process.clock.now())
        if isinstance(found, Authorised):
            return False
        if isinstance(found, Captured):
            captured.append(attempt)
    paid = purchase.state is PurchaseState.PAID
    return captured == ([purchase.attempt] if paid else []) and purchase.state is not PurchaseState.PLACED
