"""Whole purchases at once, on every engine: goods, money and orders agree, whoever clicks twice, dies or comes late."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.races import shop_books, shop_buyers, shop_race
from tests.races.arena import MANY, Arena, caught, report, rounds, total, until_caught
from tests.races.judge import wrongs
from tests.races.shop_race import NOW, Race, shares_of

pytestmark = pytest.mark.engine

RESTLESS = 14
MUGS, CUPS = (3, 3, 2), (2, 2)
EXACTLY = (11, 9)


def raced(arena: Arena, race: Race) -> Counter[str]:
    shop_race.lay_out(race)
    shares = arena.race(shop_buyers.run, race, NOW)
    told_paid = {purchase_id for _, share in shares for purchase_id in share}
    played = [figures for figures, _ in shares]
    return total(
        [*played, shop_books.finish(race, arena.clock, told_paid), Counter(units=race.units, buyers=race.buyers)]
    )


def restless(arena: Arena, number: int, *, apart: bool = False) -> Counter[str]:
    """Twice as many units wanted as there are, of two drops, by buyers who do everything at once."""
    tables = arena.tables("control" if apart else "race")
    drops = ((f"mug-{number}", MUGS), (f"cup-{number}", CUPS))
    seed = f"restless-{number}"
    names = (tables.stock, tables.commerce, tables.sandbox)
    return raced(arena, Race(arena.account, *names, drops, RESTLESS, seed, apart=apart))


def patient(arena: Arena, number: int, *, apart: bool = False) -> Counter[str]:
    """As many units wanted as there are, in lots that do not fit into the buckets."""
    tables = arena.tables("control" if apart else "race")
    seed = f"exactly-{number}"
    wanted = shares_of(sum(EXACTLY), seed)
    names = (tables.stock, tables.commerce, tables.sandbox)
    return raced(arena, Race(arena.account, *names, ((seed, EXACTLY),), len(wanted), seed, wanted, apart))


def test_purchases_at_once_leave_goods_money_and_orders_in_agreement(arena: Arena) -> None:
    figures = rounds(lambda number: restless(arena, number))
    control = until_caught(lambda number: restless(arena, number, apart=True))
    report("purchases", arena.engine, figures, control)
    assert wrongs(figures) == {}
    assert figures["sold"] == figures["units"]
    assert caught(control), "reading, then writing, was not caught"
    if figures["rounds"] >= MANY:
        assert min(figures[name] for name in ("reclaims", "replays", "refunds", "purchases_cancelled")) > 0


def test_where_as_many_are_wanted_as_there_are_nobody_is_refused_for_good(arena: Arena) -> None:
    figures = rounds(lambda number: patient(arena, number))
    control = until_caught(lambda number: patient(arena, number, apart=True))
    report("demand equals stock", arena.engine, figures, control)
    assert wrongs(figures) == {}
    assert figures["sold"] == figures["units"]
    assert caught(control), "reading, then writing, was not caught"
