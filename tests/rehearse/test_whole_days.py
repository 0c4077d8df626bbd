"""Whole days of the source, when they are beside the repository: every row is accepted or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.rehearse.demand import demand
from infra.rehearse.orders import load
from infra.rehearse.plan import plan

DAYS = Path(__file__).parents[3] / "shared" / "data" / "retail"


@pytest.mark.skipif(not DAYS.is_dir(), reason="the whole days are not beside this repository")
@pytest.mark.parametrize(
    ("day", "read", "accepted", "refunds", "units", "pence", "drops", "purchases"),
    [
        ("2011-11-23", 3_619, 3_564, 12, 39_405, 7_624_163, 2_024, 140),
        ("2011-11-24", 3_766, 3_692, 13, 26_476, 4_895_702, 2_076, 125),
        ("2011-11-25", 3_125, 3_078, 1, 18_971, 4_704_185, 1_944, 96),
    ],
)
def test_every_row_of_a_whole_day_is_accepted_or_refused(
    day: str, read: int, accepted: int, refunds: int, units: int, pence: int, drops: int, purchases: int
) -> None:
    wanted = demand(load(DAYS / f"{day}.csv"))
    assert (wanted.read, wanted.accepted, len(wanted.refused)) == (read, accepted, read - accepted)
    assert (len(wanted.cancellations), wanted.units, wanted.goods_amount) == (refunds, units, pence)
    the_plan = plan(wanted, "show-1")
    assert (len(the_plan.drops), len(the_plan.purchases)) == (drops, purchases)
    assert {one.row for one in wanted.refused}.isdisjoint(refund.row for refund in the_plan.refunds)
