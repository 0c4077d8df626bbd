"""Which discounts apply, and what each takes off: pure."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.discounts import (
    MAX_DISCOUNTS_PER_PURCHASE,
    ActiveDiscount,
    Discount,
    PricingInput,
    RejectionReason,
    apply_discounts,
    normalise_code,
)
from chalicelib.discounts.model import budget_pool
from chalicelib.stock import Pool
from tests.builders.purchases import NOW


def a_discount(code: str = "TEN", **changes: Any) -> ActiveDiscount:
    standard: dict[str, Any] = {"code": code, "title": code, "percent_bps": 1_000}
    return ActiveDiscount(Discount(**{**standard, **changes}))


def pricing_input(*goods: tuple[str, int], refused: dict[str, str] | None = None) -> PricingInput:
    return PricingInput("tonight", "GBP", goods, refused or {})


def apply_codes(asked: PricingInput, *offers: ActiveDiscount, automatic: tuple[ActiveDiscount, ...] = ()) -> Any:
    return apply_discounts(asked, {one.discount.code: one for one in offers}, automatic, NOW)


def parts_by_code(found: Any) -> dict[str, tuple[int, ...]]:
    return {one.code: one.parts for one in found[0]}


def test_a_percentage_is_rounded_once_and_split_by_largest_remainder() -> None:
    found = apply_codes(pricing_input(("mug", 105), ("jug", 105), ("pen", 105)), a_discount())
    assert parts_by_code(found) == {"TEN": (11, 11, 10)}
    assert found[0][0].amount == 32


def test_an_amount_falls_on_lines_in_proportion_and_never_exceeds_them() -> None:
    ten = a_discount(percent_bps=None, amount=1_000, currency="GBP")
    assert parts_by_code(apply_codes(pricing_input(("mug", 6_000), ("jug", 4_000)), ten)) == {"TEN": (600, 400)}
    assert parts_by_code(apply_codes(pricing_input(("mug", 300), ("jug", 200)), ten)) == {"TEN": (300, 200)}


def test_a_percentage_takes_no_more_than_its_most() -> None:
    assert parts_by_code(apply_codes(pricing_input(("mug", 50_000)), a_discount(max_amount=2_000, currency="GBP"))) == {
        "TEN": (2_000,)
    }


def test_a_discount_of_some_drops_leaves_the_others_alone() -> None:
    assert parts_by_code(apply_codes(pricing_input(("mug", 1_000), ("jug", 1_000)), a_discount(drop_ids=("jug",)))) == {
        "TEN": (0, 100)
    }


def test_combinable_ones_apply_by_priority_each_on_what_is_left() -> None:
    fifth = a_discount("FIFTH", percent_bps=2_000, priority=1, combinable=True)
    ten = a_discount(percent_bps=None, amount=1_000, currency="GBP", priority=2, combinable=True)
    found = apply_codes(pricing_input(("mug", 10_000)), ten, fifth)
    assert [(one.code, one.amount) for one in found[0]] == [("FIFTH", 2_000), ("TEN", 1_000)]
    after = a_discount("AFTER", percent_bps=1_000, priority=3, combinable=True)
    assert parts_by_code(apply_codes(pricing_input(("mug", 10_000)), ten, fifth, after))["AFTER"] == (700,)


def test_what_is_not_combinable_applies_alone() -> None:
    first, second = a_discount("A", combinable=True), a_discount("B", priority=1)
    found = apply_codes(pricing_input(("mug", 1_000)), first, second)
    assert (list(parts_by_code(found)), found[1]) == (["B"], {"A": RejectionReason.NOT_COMBINABLE})
    found = apply_codes(pricing_input(("mug", 1_000)), a_discount("A", priority=1, combinable=True), a_discount("B"))
    assert (list(parts_by_code(found)), found[1]) == (["A"], {"B": RejectionReason.NOT_COMBINABLE})


def test_a_code_comes_before_an_automatic_offer_of_the_same_priority() -> None:
    offer = a_discount("AAA", automatic=True, show_id="tonight")
    found = apply_codes(pricing_input(("mug", 1_000)), a_discount(), automatic=(offer,))
    assert (list(parts_by_code(found)), found[1]) == (["TEN"], {})
    assert list(parts_by_code(apply_codes(pricing_input(("mug", 1_000)), automatic=(offer,)))) == ["AAA"]


def test_each_reason_against_a_code_is_told() -> None:
    goods = pricing_input(("mug", 1_000))
    cases: dict[RejectionReason, dict[str, Any]] = {
        RejectionReason.NOT_STARTED: {"starts_at": NOW + 1},
        RejectionReason.ENDED: {"ends_at": NOW},
        RejectionReason.OTHER_GOODS: {"drop_ids": ("jug",)},
        RejectionReason.BELOW_MINIMUM: {"minimum_subtotal": 1_001, "currency": "GBP"},
    }
    for reason, about in cases.items():
        assert apply_codes(goods, a_discount(**about)) == ((), {"TEN": reason})
    elsewhere: dict[str, Any]
    for elsewhere in ({"show_id": "gala"}, {"minimum_subtotal": 1, "currency": "EUR"}):
        assert apply_codes(goods, a_discount(**elsewhere)) == ((), {"TEN": RejectionReason.OTHER_GOODS})
    assert apply_discounts(goods, {" nope ": None, "no/code": None}, (), NOW) == (
        (),
        {"NOPE": RejectionReason.UNKNOWN, "no/code": RejectionReason.UNKNOWN},
    )


def test_a_window_holds_from_its_beginning_to_before_its_end() -> None:
    now = a_discount(starts_at=NOW, ends_at=NOW + 1, minimum_subtotal=1_000, currency="GBP")
    assert list(parts_by_code(apply_codes(pricing_input(("mug", 1_000)), now))) == ["TEN"]


def test_what_completing_found_used_up_stays_refused_and_other_reasons_are_judged_anew() -> None:
    for lasting in (RejectionReason.USED_UP, RejectionReason.LIMIT):
        assert apply_codes(pricing_input(("mug", 1_000), refused={"TEN": lasting}), a_discount()) == (
            (),
            {"TEN": lasting},
        )
    assert list(
        parts_by_code(apply_codes(pricing_input(("mug", 1_000), refused={"TEN": RejectionReason.ENDED}), a_discount()))
    ) == ["TEN"]


def test_a_discount_that_takes_nothing_off_is_none() -> None:
    assert apply_codes(pricing_input(("mug", 4)), a_discount()) == ((), {"TEN": RejectionReason.OTHER_GOODS})
    assert apply_codes(pricing_input(), a_discount()) == ((), {"TEN": RejectionReason.OTHER_GOODS})


def test_a_purchase_has_only_so_many() -> None:
    many = tuple(
        a_discount(f"C{n}", percent_bps=1, combinable=True, automatic=True)
        for n in range(MAX_DISCOUNTS_PER_PURCHASE + 5)
    )
    assert len(apply_codes(pricing_input(("mug", 10**7)), automatic=many)[0]) == MAX_DISCOUNTS_PER_PURCHASE


offers = st.builds(
    a_discount,
    st.sampled_from("ABCDEFGH"),
    priority=st.integers(1, 5),
    combinable=st.booleans(),
    drop_ids=st.sampled_from([(), ("mug",), ("jug", "pen")]),
    percent_bps=st.integers(1, 10_000),
    max_amount=st.none() | st.integers(1, 5_000),
)
amounts = st.builds(
    lambda code, amount: a_discount(code, percent_bps=None, amount=amount, combinable=True),
    st.sampled_from("IJKL"),
    st.integers(1, 100_000),
)
lines = st.lists(st.tuples(st.sampled_from(["mug", "jug", "pen"]), st.integers(1, 50_000)), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(lines, st.lists(offers | amounts, max_size=6))
def test_no_line_comes_to_less_than_nothing_and_parts_add_up(goods: Any, asked: list[ActiveDiscount]) -> None:
    found, refused = apply_codes(pricing_input(*goods), *asked)
    for index, (_, price) in enumerate(goods):
        assert 0 <= sum(one.parts[index] for one in found) <= price
    assert all(one.amount > 0 and min(one.parts) >= 0 and len(one.parts) == len(goods) for one in found)
    assert {one.code for one in found} | refused.keys() == {one.discount.code for one in asked}


def test_codes_are_known_whatever_their_case_and_a_budget_by_its_name() -> None:
    assert [normalise_code(text) for text in (" save-10 ", "Save_10", "x" * 32)] == ["SAVE-10", "SAVE_10", "X" * 32]
    assert [normalise_code(text) for text in ("", "a b", "x" * 33, "\N{SNOWMAN}", "-a", "a:b", "a" * 10_000)] == [
        None
    ] * 7
    discount = Discount(
        code="TEN", title="t", amount=5, budget_uses=60, budget_amount=90, uses_bucket_count=3, money_bucket_count=2
    )
    names = ["offer:TEN:uses:3", "offer:TEN:money:2"]
    assert [budget.pool for budget in discount.budgets] == [budget_pool(name) for name in names]
    assert budget_pool(names[0]) == Pool("offer:TEN:uses:3", 3)
    assert [budget_pool(name) for name in ("mug", "offer:TEN", "offer:TEN:uses:0")] == [None] * 3
