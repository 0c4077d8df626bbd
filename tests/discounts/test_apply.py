"""The choice of discounts and their split over lines."""

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


def pricing_input(*lines: tuple[str, int], rejected: dict[str, str] | None = None) -> PricingInput:
    return PricingInput("tonight", "GBP", lines, rejected or {})


def apply_codes(pricing: PricingInput, *discounts: ActiveDiscount, automatic: tuple[ActiveDiscount, ...] = ()) -> Any:
    return apply_discounts(pricing, {active.discount.code: active for active in discounts}, automatic, NOW)


def parts_by_code(found: Any) -> dict[str, tuple[int, ...]]:
    return {one.code: one.parts for one in found[0]}


def test_percentage_is_rounded_once_and_split_by_largest_remainder() -> None:
    found = apply_codes(pricing_input(("mug", 105), ("jug", 105), ("pen", 105)), a_discount())
    assert parts_by_code(found) == {"TEN": (11, 11, 10)}
    assert found[0][0].amount == 32


def test_amount_is_split_over_lines_in_proportion_and_never_exceeds_them() -> None:
    ten = a_discount(percent_bps=None, amount=1_000, currency="GBP")
    assert parts_by_code(apply_codes(pricing_input(("mug", 6_000), ("jug", 4_000)), ten)) == {"TEN": (600, 400)}
    assert parts_by_code(apply_codes(pricing_input(("mug", 300), ("jug", 200)), ten)) == {"TEN": (300, 200)}


def test_percentage_takes_off_its_max_amount_at_most() -> None:
    assert parts_by_code(apply_codes(pricing_input(("mug", 50_000)), a_discount(max_amount=2_000, currency="GBP"))) == {
        "TEN": (2_000,)
    }


def test_discount_of_some_drops_does_not_reduce_others() -> None:
    assert parts_by_code(apply_codes(pricing_input(("mug", 1_000), ("jug", 1_000)), a_discount(drop_ids=("jug",)))) == {
        "TEN": (0, 100)
    }


def test_combinable_discounts_apply_by_priority_to_the_remaining_price() -> None:
    fifth = a_discount("FIFTH", percent_bps=2_000, priority=1, combinable=True)
    ten = a_discount(percent_bps=None, amount=1_000, currency="GBP", priority=2, combinable=True)
    found = apply_codes(pricing_input(("mug", 10_000)), ten, fifth)
    assert [(one.code, one.amount) for one in found[0]] == [("FIFTH", 2_000), ("TEN", 1_000)]
    after = a_discount("AFTER", percent_bps=1_000, priority=3, combinable=True)
    assert parts_by_code(apply_codes(pricing_input(("mug", 10_000)), ten, fifth, after))["AFTER"] == (700,)


def test_discount_that_is_not_combinable_applies_alone() -> None:
    first, second = a_discount("A", combinable=True), a_discount("B", priority=1)
    found = apply_codes(pricing_input(("mug", 1_000)), first, second)
    assert (list(parts_by_code(found)), found[1]) == (["B"], {"A": RejectionReason.NOT_COMBINABLE})
    found = apply_codes(pricing_input(("mug", 1_000)), a_discount("A", priority=1, combinable=True), a_discount("B"))
    assert (list(parts_by_code(found)), found[1]) == (["A"], {"B": RejectionReason.NOT_COMBINABLE})


def test_code_applies_before_an_automatic_discount_of_the_same_priority() -> None:
    offer = a_discount("AAA", automatic=True, show_id="tonight")
    found = apply_codes(pricing_input(("mug", 1_000)), a_discount(), automatic=(offer,))
    assert (list(parts_by_code(found)), found[1]) == (["TEN"], {})
    assert list(parts_by_code(apply_codes(pricing_input(("mug", 1_000)), automatic=(offer,)))) == ["AAA"]


def test_rejected_code_has_its_reason() -> None:
    pricing = pricing_input(("mug", 1_000))
    cases: dict[RejectionReason, dict[str, Any]] = {
        RejectionReason.NOT_STARTED: {"starts_at": NOW + 1},
        RejectionReason.ENDED: {"ends_at": NOW},
        RejectionReason.OTHER_ITEMS: {"drop_ids": ("jug",)},
        RejectionReason.BELOW_MINIMUM: {"minimum_subtotal": 1_001, "currency": "GBP"},
    }
    for reason, changes in cases.items():
        assert apply_codes(pricing, a_discount(**changes)) == ((), {"TEN": reason})
    other: dict[str, Any]
    for other in ({"show_id": "gala"}, {"minimum_subtotal": 1, "currency": "EUR"}):
        assert apply_codes(pricing, a_discount(**other)) == ((), {"TEN": RejectionReason.OTHER_ITEMS})
    assert apply_discounts(pricing, {" nope ": None, "no/code": None}, (), NOW) == (
        (),
        {"NOPE": RejectionReason.UNKNOWN, "no/code": RejectionReason.UNKNOWN},
    )


def test_discount_is_valid_from_its_start_until_just_before_its_end() -> None:
    now = a_discount(starts_at=NOW, ends_at=NOW + 1, minimum_subtotal=1_000, currency="GBP")
    assert list(parts_by_code(apply_codes(pricing_input(("mug", 1_000)), now))) == ["TEN"]


def test_permanent_rejection_lasts_and_other_reasons_are_evaluated_again() -> None:
    for permanent in (RejectionReason.USED_UP, RejectionReason.LIMIT):
        assert apply_codes(pricing_input(("mug", 1_000), rejected={"TEN": permanent}), a_discount()) == (
            (),
            {"TEN": permanent},
        )
    assert list(
        parts_by_code(apply_codes(pricing_input(("mug", 1_000), rejected={"TEN": RejectionReason.ENDED}), a_discount()))
    ) == ["TEN"]


def test_discount_that_takes_nothing_off_is_rejected() -> None:
    assert apply_codes(pricing_input(("mug", 4)), a_discount()) == ((), {"TEN": RejectionReason.OTHER_ITEMS})
    assert apply_codes(pricing_input(), a_discount()) == ((), {"TEN": RejectionReason.OTHER_ITEMS})


def test_purchase_has_a_maximum_of_discounts() -> None:
    many = tuple(
        a_discount(f"C{n}", percent_bps=1, combinable=True, automatic=True)
        for n in range(MAX_DISCOUNTS_PER_PURCHASE + 5)
    )
    assert len(apply_codes(pricing_input(("mug", 10**7)), automatic=many)[0]) == MAX_DISCOUNTS_PER_PURCHASE


percentages = st.builds(
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
@given(lines, st.lists(percentages | amounts, max_size=6))
def test_no_line_falls_below_zero_and_parts_add_up(priced_lines: Any, given_codes: list[ActiveDiscount]) -> None:
    found, rejected = apply_codes(pricing_input(*priced_lines), *given_codes)
    for index, (_, price) in enumerate(priced_lines):
        assert 0 <= sum(one.parts[index] for one in found) <= price
    assert all(one.amount > 0 and min(one.parts) >= 0 and len(one.parts) == len(priced_lines) for one in found)
    assert {one.code for one in found} | rejected.keys() == {one.discount.code for one in given_codes}


def test_code_matches_in_any_case_and_a_budget_by_its_pool_id() -> None:
    assert [normalise_code(text) for text in (" save-10 ", "Save_10", "x" * 32)] == ["SAVE-10", "SAVE_10", "X" * 32]
    assert [normalise_code(text) for text in ("", "a b", "x" * 33, "\N{SNOWMAN}", "-a", "a:b", "a" * 10_000)] == [
        None
    ] * 7
    discount = Discount(
        code="TEN", title="t", amount=5, budget_uses=60, budget_amount=90, uses_bucket_count=3, money_bucket_count=2
    )
    pool_ids = ["offer:TEN:uses:3", "offer:TEN:money:2"]
    assert [budget.pool for budget in discount.budgets] == [budget_pool(pool_id) for pool_id in pool_ids]
    assert budget_pool(pool_ids[0]) == Pool("offer:TEN:uses:3", 3)
    assert [budget_pool(pool_id) for pool_id in ("mug", "offer:TEN", "offer:TEN:uses:0")] == [None] * 3
