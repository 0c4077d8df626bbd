"""Operators put discounts: consistent fields, fixed fields, and budgets that are whole after a crash at any write."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import from_item
from chalicelib.discounts import BudgetState, Discounts, PutDiscountRequest
from chalicelib.discounts.store import DiscountStore
from chalicelib.errors import BadInput, Conflict, Unavailable
from chalicelib.instants import SECOND
from chalicelib.shows import Show
from chalicelib.stock import Stock
from tests.builders.purchases import NOW
from tests.conftest import Tables

SHOW = Show(id="tonight", title="Tonight", currency="GBP", starts_at=NOW)


def gbp(amount: int) -> dict[str, object]:
    return {"amount": amount, "currency": "GBP"}


def a_request(**changes: Any) -> PutDiscountRequest:
    standard: dict[str, Any] = {"title": "Ten off", "percent_bps": 1_000}
    return PutDiscountRequest.from_body(
        {name: value for name, value in (standard | changes).items() if value is not None}
    )


@pytest.fixture
def discounts(tables: Tables) -> Discounts:
    return discounts_on(tables)


def discounts_on(tables: Tables) -> Discounts:
    return Discounts(tables.dynamodb, tables.commerce, Stock(tables.dynamodb, tables.stock, tables.commerce))


def test_code_is_created_once_and_found_in_any_case(discounts: Discounts) -> None:
    created, is_new = discounts.put("save10", a_request(limit_per_buyer=1), None, "ann", NOW)
    assert (created.code, is_new) == ("SAVE10", True)
    again, is_new = discounts.put("SAVE10", a_request(limit_per_buyer=1), None, "bob", NOW + 5)
    assert (again, is_new) == (created, False)
    found = discounts.find(" Save10", NOW)
    assert found is not None
    assert (found.discount.limit_per_buyer, found.summaries) == (1, ())
    assert discounts.find("nope", NOW) is None


def test_change_is_visible_and_audited_once(discounts: Discounts, tables: Tables) -> None:
    discounts.put("ten", a_request(), None, "ann", NOW)
    assert discounts.find("ten", NOW) is not None
    for at in (1, 2):
        changed, is_new = discounts.put("ten", a_request(percent_bps=2_000), None, "bob", NOW + at)
        assert (changed.percent_bps, is_new) == (2_000, False)
    found = discounts.find("ten", NOW)
    assert found is not None
    assert found.discount.percent_bps == 2_000
    items = [from_item(item) for item in tables.dynamodb.scan(TableName=tables.commerce)["Items"]]
    audits = sorted((item for item in items if item["sk"].startswith("AUDIT#")), key=lambda item: item["at"])
    assert [(item["by"], item["at"]) for item in audits] == [("ann", NOW), ("bob", NOW + 1)]
    assert audits[1]["changes"] == {"percent_bps": {"from": 1_000, "to": 2_000}}


def test_budget_buckets_have_room_for_a_use(discounts: Discounts) -> None:
    request = a_request(percent_bps=None, amount=gbp(500), budget_uses=60, budget_amount=gbp(20_000))
    created, _ = discounts.put("ten", request, None, "ann", NOW)
    uses, money = created.budgets
    assert (uses.pool.bucket_count, money.pool.bucket_count, money.usual) == (3, 7, 125)
    found = discounts.get_with_budgets("ten", NOW)
    assert found is not None
    assert found[1] == (BudgetState(False, 60, 60, 0, 0), BudgetState(True, 20_000, 20_000, 0, 0))
    assert discounts.get_with_budgets("none", NOW) is None


@pytest.mark.parametrize("failing", range(1, 5))
def test_repeat_finishes_a_discount_after_a_failure_at_any_write(tables: Tables, failing: int) -> None:
    """The writes are the draft, its buckets, their summary, and the end of the draft."""
    request, writes = a_request(budget_uses=5), []

    def fail(**_: Any) -> None:
        writes.append(1)
        if len(writes) == failing:
            raise Unavailable("failed")

    events = tables.dynamodb.meta.events
    for operation in ("PutItem", "TransactWriteItems"):
        events.register(f"before-call.dynamodb.{operation}", fail)
    with pytest.raises(Unavailable):
        discounts_on(tables).put("ten", request, None, "ann", NOW)
    for operation in ("PutItem", "TransactWriteItems"):
        events.unregister(f"before-call.dynamodb.{operation}", fail)
    other = discounts_on(tables)
    assert other.find("ten", NOW) is None
    assert other.get_with_budgets("ten", NOW) is None
    assert other.put("ten", request, None, "ann", NOW)[1]
    found = other.get_with_budgets("ten", NOW)
    assert found is not None
    assert found[1] == (BudgetState(False, 5, 5, 0, 0),)


def test_change_follows_a_rival_that_wrote_first(
    discounts: Discounts, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = DiscountStore.commit

    def commit_after_rival(self: DiscountStore, *arguments: Any) -> bool:
        monkeypatch.setattr(DiscountStore, "commit", commit)
        discounts_on(tables).put("ten", a_request(title="Other"), None, "bob", NOW)
        return commit(self, *arguments)

    monkeypatch.setattr(DiscountStore, "commit", commit_after_rival)
    created, is_new = discounts.put("ten", a_request(), None, "ann", NOW)
    assert (created.title, is_new) == ("Ten off", True)
    found = discounts.get_with_budgets("ten", NOW)
    assert found is not None
    assert found[0] == created


def test_budgets_and_the_amount_of_a_use_are_fixed(discounts: Discounts) -> None:
    money: dict[str, Any] = {"percent_bps": None, "amount": gbp(500), "budget_amount": gbp(5_000), "budget_uses": 9}
    discounts.put("ten", a_request(**money), None, "ann", NOW)
    cases: dict[str, dict[str, Any]] = {
        "$.budget_uses": {"budget_uses": 10},
        "$.budget_amount": {"budget_amount": gbp(6_000)},
        "$.amount": {"amount": gbp(600)},
        "$.show_id": {"show_id": "tonight"},
    }
    for field, changes in cases.items():
        before = discounts.get_with_budgets("ten", NOW)
        with pytest.raises(Conflict) as refusal:
            discounts.put("ten", a_request(**money | changes), SHOW, "ann", NOW)
        assert (refusal.value.field, discounts.get_with_budgets("ten", NOW)) == (field, before)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("$.percent_bps", {"percent_bps": None}),
        ("$.percent_bps", {"amount": gbp(5)}),
        ("$.show_id", {"automatic": True}),
        ("$.ends_at", {"starts_at": "2026-11-27T19:00:00Z", "ends_at": "2026-11-27T19:00:00Z"}),
        ("$.max_amount", {"percent_bps": None, "amount": gbp(5), "max_amount": gbp(5)}),
        ("$.max_amount", {"budget_amount": gbp(5_000)}),
        ("$.budget_amount.amount", {"budget_amount": gbp(4), "max_amount": gbp(5)}),
        ("$.budget_amount.amount", {"budget_amount": gbp(10_000_000), "max_amount": gbp(4)}),
        ("$.minimum_subtotal.currency", {"max_amount": gbp(5), "minimum_subtotal": {"amount": 5, "currency": "EUR"}}),
    ],
)
def test_inconsistent_field_is_refused_by_name(discounts: Discounts, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refusal:
        discounts.put("ten", a_request(**changes), None, "ann", NOW)
    assert (refusal.value.field, discounts.get_with_budgets("ten", NOW)) == (field, None)


def test_discount_of_a_show_needs_that_show_and_its_currency(discounts: Discounts) -> None:
    with pytest.raises(BadInput) as refusal:
        discounts.put("ten", a_request(show_id="tonight"), None, "ann", NOW)
    assert (refusal.value.field, refusal.value.code) == ("$.show_id", "unknown_show")
    euros = a_request(show_id="tonight", minimum_subtotal={"amount": 5, "currency": "EUR"})
    with pytest.raises(BadInput) as refusal:
        discounts.put("ten", euros, SHOW, "ann", NOW)
    assert refusal.value.field == "$.minimum_subtotal.currency"
    with pytest.raises(BadInput) as refusal:
        discounts.put("a b", a_request(), None, "ann", NOW)
    assert refusal.value.field == "code"


def test_automatic_discounts_of_a_show_are_at_most_a_second_old(discounts: Discounts, tables: Tables) -> None:
    assert discounts.automatic_of_show("tonight", NOW) == ()
    other_process = discounts_on(tables)
    for code, budget in (("b", None), ("a", 5)):
        other_process.put(code, a_request(automatic=True, show_id="tonight", budget_uses=budget), SHOW, "ann", NOW)
    other_process.put("code", a_request(show_id="tonight"), SHOW, "ann", NOW)
    assert discounts.automatic_of_show("tonight", NOW + SECOND - 1) == ()
    assert [one.discount.code for one in discounts.automatic_of_show("tonight", NOW + SECOND)] == ["A", "B"]
    other_process.put("b", a_request(automatic=True, show_id="tonight", title="New"), SHOW, "ann", NOW + SECOND)
    assert [one.discount.title for one in discounts.automatic_of_show("tonight", NOW + 2 * SECOND)] == [
        "Ten off",
        "New",
    ]
    assert discounts.automatic_of_show("gala", NOW) == discounts.automatic_of_show(None, NOW) == ()
