"""No later fact changes or renames a posted entry, in any history of refunds, fees and disputes (Invariant 7a)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import Conflict
from chalicelib.finance import LedgerEntry, entries_of
from chalicelib.finance.balance_check import is_balanced
from chalicelib.finance.ledger_entry import LedgerEntry as Entry
from chalicelib.finance.ledger_entry import entry_id_of
from chalicelib.instants import MINUTE, Instant
from chalicelib.purchase import Dispute, DisputeLoss, Purchase, RefundRequest
from chalicelib.refunds.allocation import allocate_amount, allocate_refund, refundable_remainder
from chalicelib.refunds.refund import with_refund
from tests.builders.paid_orders import PAID_AT, TIME_ZONE, a_paid_line, a_paid_order, with_tax_on_top
from tests.builders.paid_orders import with_refund as with_older_refund

COLUMNS = ("quantity", "gross", "discount", "net", "tax", "shipping", "commission", "amount")
Change = Callable[[Purchase, Instant], Purchase]


def with_changed_refund(purchase: Purchase, index: int, **changes: object) -> Purchase:
    refunds = list(purchase.refunds)
    refunds[index] = refunds[index].model_copy(update=changes)
    return purchase.model_copy(update={"refunds": tuple(refunds)})


def a_request(number: int, draw: st.DataObject, purchase: Purchase) -> RefundRequest | None:
    """Draw a request for units, an amount, or all that remains; None when nothing remains."""
    left = refundable_remainder(purchase)
    key, kind = f"key-{number}", draw.draw(st.sampled_from(["units", "amount", "full"]))
    with_units = [part for part in left.lines if part.quantity]
    if kind == "units" and with_units:
        part = draw.draw(st.sampled_from(with_units))
        units = draw.draw(st.integers(1, part.quantity))
        return RefundRequest(key, "", ((part.line_id, units),), draw.draw(st.booleans()), "ann")
    if kind == "amount" and left.amount:
        return RefundRequest(key, "", (), False, "ann", amount=draw.draw(st.integers(1, left.amount)))
    return RefundRequest(key, "", (), True, "ann", full=True)


def next_version(purchase: Purchase, now: Instant, draw: st.DataObject) -> Purchase:
    """Draw one event of an order's life: a refund recorded, done or failed, a dispute lost or restored."""
    refunds = list(enumerate(purchase.refunds))
    pending = [index for index, refund in refunds if refund.is_pending]
    done = [index for index, refund in refunds if refund.completed_at is not None and refund.failure_code is None]
    event = draw.draw(st.sampled_from(["request", "request", "done", "done", "refused", "fails", "lost", "restored"]))
    if event == "done" and pending:
        index = draw.draw(st.sampled_from(pending))
        return with_changed_refund(purchase, index, completed_at=now, provider_id=f"re_{index}")
    if event == "refused" and pending:
        return with_changed_refund(purchase, draw.draw(st.sampled_from(pending)), failure_code="refused")
    if event == "fails" and done:
        index = draw.draw(st.sampled_from(done))
        return with_changed_refund(purchase, index, failure_code="declined", failed_at=now)
    if event == "lost":
        return with_loss(purchase, draw.draw(st.integers(1, 2 * purchase.totals.total)), now)
    if event == "restored":
        return without_loss(purchase, now)
    request = a_request(len(purchase.refunds), draw, purchase)
    if request is None:
        return purchase
    try:
        return with_refund(purchase, request, allocate_refund(purchase, request), now)
    except Conflict:
        return purchase


def with_loss(purchase: Purchase, amount: int, now: Instant) -> Purchase:
    """Return the purchase with its only dispute lost, unless it is lost already."""
    dispute = (
        purchase.disputes[0]
        if purchase.disputes
        else Dispute(id="dp_1", status="open", amount=amount, currency="GBP", opened_at=now)
    )
    if dispute.losses and dispute.losses[-1].restored_at is None:
        return purchase
    left = refundable_remainder(purchase)
    spread = allocate_amount(left, min(amount, left.amount))
    loss = DisputeLoss(
        amount=amount, lines=spread.lines, shipping=spread.shipping, shipping_tax=spread.shipping_tax, lost_at=now
    )
    return purchase.model_copy(
        update={"disputes": (dispute.model_copy(update={"losses": (*dispute.losses, loss), "status": "lost"}),)}
    )


def without_loss(purchase: Purchase, now: Instant) -> Purchase:
    """Return the purchase with its loss restored."""
    if not purchase.disputes or purchase.disputes[0].losses[-1].restored_at is not None:
        return purchase
    (dispute,) = purchase.disputes
    restored = dispute.losses[-1].model_copy(update={"restored_at": now})
    return purchase.model_copy(
        update={"disputes": (dispute.model_copy(update={"losses": (*dispute.losses[:-1], restored), "status": "won"}),)}
    )


def draw_history(draw: st.DataObject) -> list[Purchase]:
    """Draw the versions of an order."""
    sizes = draw.draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9_999)), min_size=1, max_size=3))
    lines = (
        a_paid_line(n, quantity=quantity, unit_price=price, commission_bps=850)
        for n, (quantity, price) in enumerate(sizes, 1)
    )
    order = a_paid_order(lines=tuple(lines))
    versions = [with_tax_on_top(order) if draw.draw(st.booleans()) else order]
    for step in range(draw.draw(st.integers(1, 12))):
        versions.append(next_version(versions[-1], PAID_AT + step * MINUTE, draw))
    return versions


def entries_by_id(purchase: Purchase) -> dict[str, LedgerEntry]:
    entries = entries_of(purchase, TIME_ZONE)
    by_id = {entry.id: entry for entry in entries}
    assert len(by_id) == len(entries), "two entries have one id"
    return by_id


def assert_nothing_posted_changes(
    versions: list[Purchase], derive: Callable[[Purchase], dict[str, LedgerEntry]]
) -> None:
    for earlier, later in pairwise(map(derive, versions)):
        assert earlier.items() <= later.items()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_no_later_fact_changes_or_renames_an_entry(draw: st.DataObject) -> None:
    versions = draw_history(draw)
    assert_nothing_posted_changes(versions, entries_by_id)
    assert all(is_balanced(version, entries_of(version, TIME_ZONE)) for version in versions)


def by_ordinal(purchase: Purchase) -> dict[str, LedgerEntry]:
    """Name entries by their position, as ids once did."""
    return {
        f"{purchase.id}-{number:03}": replace(entry, id=f"{purchase.id}-{number:03}")
        for number, entry in enumerate(entries_of(purchase, TIME_ZONE), 1)
    }


def test_ordinals_in_place_of_names_are_caught() -> None:
    """The control of the test above: the search knows histories in which a position moves."""

    @settings(max_examples=300, deadline=None, database=None)
    @given(st.data())
    def search(draw: st.DataObject) -> None:
        assert_nothing_posted_changes(draw_history(draw), by_ordinal)

    with pytest.raises(AssertionError):
        search()


def test_fee_stored_by_an_older_version_is_posted_by_its_movement_alone() -> None:
    order = with_older_refund(a_paid_order(), ("li_1", 1))
    assert order.payment is not None
    with_fee = order.model_copy(update={"payment": order.payment.model_copy(update={"fee": 64})})
    assert entries_by_id(with_fee) == entries_by_id(order)
    assert sum(entry.fee for entry in entries_of(with_fee, TIME_ZONE)) == 0


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_everything_returned_takes_back_the_whole_commission(draw: st.DataObject) -> None:
    """Every column of the order nets to zero once nothing remains, also if refunds failed on the way."""
    order = draw_history(draw)[-1]
    for index, refund in enumerate(order.refunds):
        if refund.is_pending:
            order = with_changed_refund(order, index, completed_at=PAID_AT)
    order = without_loss(order, PAID_AT)
    request = RefundRequest("last", "", (), True, "ann", full=True)
    try:
        order = with_refund(order, request, allocate_refund(order, request), PAID_AT, completed_at=PAID_AT)
    except Conflict:
        assert refundable_remainder(order).amount == 0
    entries = list(entries_of(order, TIME_ZONE))
    assert {name: sum(getattr(entry, name) for entry in entries) for name in COLUMNS} == dict.fromkeys(COLUMNS, 0)


def test_refund_stored_without_a_commission_takes_none_back_whatever_fails_later() -> None:
    order = a_paid_order(lines=(a_paid_line(quantity=3, unit_price=333, commission_bps=850),))
    for _ in range(2):
        order = with_older_refund(order, ("li_1", 1))
    for index, refund in enumerate(order.refunds):
        parts = tuple(part.model_copy(update={"commission": None}) for part in refund.lines)
        order = with_changed_refund(order, index, lines=parts)
    refunds = [entry for entry in entries_of(order, TIME_ZONE) if entry.entry_type == "refund"]
    assert [entry.commission for entry in refunds] == [0, 0]
    failed = with_changed_refund(order, 0, failure_code="declined", failed_at=PAID_AT + MINUTE)
    assert entries_by_id(order).items() < entries_by_id(failed).items()


def test_older_entry_is_read_by_its_name() -> None:
    """The ledger has entries whose id is an ordinal; a reader knows them by what they are about."""
    order = with_older_refund(a_paid_order(), ("li_1", 1), shipping=True)
    for number, entry in enumerate(entries_of(order, TIME_ZONE), 1):
        older = entry.to_record() | {"id": f"P1-{number:03}"}
        del older["dispute_id"]
        assert Entry.from_record(older) == entry
        assert entry_id_of(entry.to_record()) == entry.id
