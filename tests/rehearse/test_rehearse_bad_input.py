"""Any content of a file: each row is either accepted or refused, and no error occurs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.rehearse.demand import demand
from infra.rehearse.orders import parse
from infra.rehearse.plan import plan
from tests.rehearse.test_orders import HEADER

CELLS = st.sampled_from(
    [
        "",
        "C1",
        "1",
        "-1",
        "0",
        "22554",
        "22554a",
        "POST",
        "1.65",
        "1.655",
        "2011-11-25 08:05:00",
        "nan",
        "1e9",
        "٣",
        "é",
    ]
) | st.text(st.characters(exclude_characters='\r\n",'), max_size=8)
GOOD = st.tuples(
    st.sampled_from(["1", "2", "C3"]),
    st.sampled_from(["22554", "22554a", "22554A"]),
    st.just("T"),
    st.sampled_from(["1", "5", "-1", "-6"]),
    st.just("2011-11-25 08:05:00"),
    st.sampled_from(["1.65", "0.5"]),
    st.sampled_from(["", "7", "8.0"]),
    st.just("EIRE"),
).map(list)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=10).filter(any) | GOOD, max_size=12))
def test_every_row_is_accepted_or_refused_and_what_is_planned_adds_up(rows: list[list[str]]) -> None:
    lines = parse(HEADER + "".join(",".join(row) + "\n" for row in rows))
    wanted = demand(lines)
    assert wanted.read == len(rows)
    assert wanted.accepted + len(wanted.refused) == wanted.read
    assert len({one.row for one in wanted.refused}) == len(wanted.refused)
    the_plan = plan(wanted, "show-1")
    assert sum(drop.stock for drop in the_plan.drops.values()) == wanted.units
    assert sum(the_plan.goods_amount(purchase) for purchase in the_plan.purchases) == wanted.goods_amount
    ordered = {(purchase.id, drop): units for purchase in the_plan.purchases for drop, units in purchase.units.items()}
    for refund in the_plan.refunds:
        ordered[refund.purchase, refund.drop_id] -= refund.quantity
    assert all(left >= 0 for left in ordered.values())
