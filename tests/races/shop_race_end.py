"""The end of a race of purchases: what is left is delivered, late buyers come, and the books are opened."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

from chalicelib.capture import process_attempt
from chalicelib.payments import Authorised, Captured
from chalicelib.purchase import CheckoutResult, NoPurchase, Purchase, PurchaseState
from chalicelib.recovery import recover_lost_orders
from chalicelib.stock import Pool
from tests.races.buyers_pool import send_until_answered
from tests.races.faulty_client import NO_FAULTS
from tests.races.invariants import check_final_stock, read_buckets
from tests.races.race_clock import RaceClock
from tests.races.shop_buyers import ShopRaceBuyer
from tests.races.shop_race import ShopRace, ShopRaceProcess
from tests.races.stock_race import MAX_REFUSALS, QUANTITIES, client_of


def finish_race(race: ShopRace, clock: RaceClock, answered_paid: set[str]) -> Counter[str]:
    """Deliver what is left as the platform would, let all holds lapse, let late buyers come, then open the books."""
    process = ShopRaceProcess(race, clock, "late", NO_FAULTS)
    _redeliver(process)
    clock.advance(1_000_000)
    for drop_id, sizes in race.drops:  # the stream of the stock table does it within a second of quiet
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
        got = Counter(_sold_units(purchase, race.drops[0][0]) for purchase in purchases.values())
        found["refused_for_good"] += (Counter(race.wanted_quantities) - got).total()
    return found


def _purchases(process: ShopRaceProcess) -> list[Purchase]:
    return [one for one in process.context.purchases.scan() if _is_of_race(process.race, one)]


def _is_of_race(race: ShopRace, purchase: Purchase) -> bool:
    drops = {drop_id for drop_id, _ in race.drops}
    return any(line.drop_id in drops for line in purchase.lines)


def _redeliver(process: ShopRaceProcess) -> None:
    """Redeliver every message and repair, with nothing failing any more, until every attempt has ended."""
    context, clock = process.context, process.clock
    for _ in range(4):
        clock.advance(61_000)
        for purchase in _purchases(process):
            for attempt in range(1, purchase.attempt + 1):
                send_until_answered(process.request(partial(process_attempt, context), purchase.id, attempt))
        recover_lost_orders(context, lambda purchase_id, attempt: None, clock.now())


def _sell_the_rest(process: ShopRaceProcess, drop_id: str, units: int) -> None:
    """Late buyers of one drop, one after another, until they are told that it is sold out."""
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
    """Units of a drop that a purchase has: paid for, less those that a refund gave back to stock."""
    if purchase.state is not PurchaseState.PAID:
        return 0
    lines = {line.id: line.quantity for line in purchase.lines if line.drop_id == drop_id}
    returned = [part for refund in purchase.refunds if refund.restock for part in refund.lines if part.line_id in lines]
    return sum(lines.values()) - sum(part.quantity for part in returned)


def _money_is_right(process: ShopRaceProcess, purchase: Purchase) -> bool:
    """Paid: captured by its last attempt alone. Not paid: by none. Nothing reserved, no attempt unended."""
    captured = []
    for attempt in range(1, purchase.attempt + 1):
        found = process.gateway.find(purchase.id, attempt, now=process.clock.now())
        if isinstance(found, Authorised):
            return False
        if isinstance(found, Captured):
            captured.append(attempt)
    paid = purchase.state is PurchaseState.PAID
    return captured == ([purchase.attempt] if paid else []) and purchase.state is not PurchaseState.PLACED
