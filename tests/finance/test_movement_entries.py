"""One ledger entry for each movement of the provider's balance: their sum is the balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import pytest

from chalicelib.finance import EntryType, LedgerEntry, movement_entry
from chalicelib.finance.balance_check import Difference, Scope
from chalicelib.finance.close import closed_prefix
from chalicelib.instants import DAY, HOUR, Instant, parse_rfc3339
from chalicelib.payments import Movement, MovementKind, MovementStore
from chalicelib.recovery import follow_balance
from chalicelib.recovery.reconciliation.follow_balance import FIRST_LOOK_BACK
from tests.builders.movements import a_movement, an_account_movement
from tests.builders.paid_orders import NEXT_DAY, PAID_AT, TIME_ZONE, a_paid_order, store_purchases
from tests.finance.conftest import FinanceFixture

FRIDAY = date(2026, 11, 27)
IN_YEN = a_movement(amount=302_000, fee=6_150, currency="JPY", conversion_rate="180.8383")


def entry(movement: Movement) -> LedgerEntry:
    return movement_entry(movement, TIME_ZONE)


def store(finance: FinanceFixture) -> MovementStore:
    return MovementStore(finance.tables.dynamodb, finance.tables.commerce)


def test_capture_is_posted_with_what_the_balance_changed_by_and_its_fee() -> None:
    posted = entry(a_movement())
    assert (posted.id, posted.order_id, posted.entry_type) == ("P1.movement.txn_1", "ord_P1", "movement_charge")
    assert (posted.clearing, posted.fee, posted.currency, posted.amount) == (1_625, 45, "GBP", 0)
    assert (posted.payment_id, posted.charge_id, posted.balance_transaction) == ("sbx_P1#1", "ch_1", "txn_1")
    assert (posted.occurred_at, posted.business_date) == ("2026-11-27T19:00:00.000Z", "2026-11-27")


def test_fee_in_another_currency_keeps_its_currency_and_rate() -> None:
    posted = entry(IN_YEN)
    assert (posted.currency, posted.fee, posted.clearing) == ("JPY", 6_150, 295_850)
    assert posted.conversion_rate == "180.8383"


@pytest.mark.parametrize(
    ("kind", "amount", "fee", "posted_fee", "clearing"),
    [
        (MovementKind.REFUND, -300, 0, 0, -300),
        (MovementKind.REFUND_FAILED, 300, 0, 0, 300),
        (MovementKind.HOLD_RELEASED, -1_570, 0, 0, -1_570),
        (MovementKind.DISPUTE, -1_670, 2_000, 2_000, -3_670),
        (MovementKind.DISPUTE_REVERSED, 1_670, -2_000, -2_000, 3_670),
        (MovementKind.OTHER, -7, 0, 0, -7),
    ],
)
def test_each_kind_of_movement_is_posted_as_what_it_did_to_the_balance(
    kind: MovementKind, amount: int, fee: int, posted_fee: int, clearing: int
) -> None:
    posted = entry(a_movement(kind=kind, amount=amount, fee=fee, source_id="src_1"))
    assert posted.entry_type is EntryType(f"movement_{kind}")
    assert (posted.fee, posted.clearing, posted.amount, posted.charge_id) == (posted_fee, clearing, 0, None)
    is_refund = kind in {MovementKind.REFUND, MovementKind.REFUND_FAILED}
    assert posted.provider_refund_id == ("src_1" if is_refund else None)


def test_movements_of_the_account_have_no_order() -> None:
    fee = entry(an_account_movement("txn_2", MovementKind.FEE, -2_000))
    payout = entry(an_account_movement("txn_3", MovementKind.PAYOUT, -900))
    assert (fee.id, fee.order_id, fee.fee, fee.clearing) == ("account.movement.sandbox.txn_2", "", 2_000, -2_000)
    assert (payout.entry_type, payout.fee, payout.clearing) == ("movement_payout", 0, -900)


def test_foreign_payment_changes_the_balance_and_no_fee_of_the_shop() -> None:
    foreign = entry(an_account_movement("txn_4", MovementKind.CHARGE, 500, is_foreign=True))
    assert (foreign.entry_type, foreign.clearing, foreign.fee) == ("movement_foreign", 500, 0)
    assert entry(replace(a_movement(), purchase_id=None, is_foreign=True)).fee == 0


def test_business_date_is_the_day_in_the_shops_time_zone() -> None:
    late = a_movement(created_at=parse_rfc3339("2026-07-01T23:30:00Z"))
    assert entry(late).business_date == "2026-07-02"


def test_every_kind_has_a_type_of_entry() -> None:
    types = {entry(a_movement(kind=kind)).entry_type for kind in MovementKind}
    assert len(types) == len(MovementKind)


def test_day_closes_with_the_movements_whose_messages_were_lost(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order("P1"), a_paid_order("P2"))
    movements = [
        a_movement(),
        a_movement("txn_2", purchase_id="P2", fee=50),
        an_account_movement("txn_3", MovementKind.PAYOUT, -3_000),
        a_movement("txn_4", kind=MovementKind.REFUND, amount=-300, fee=0, created_at=NEXT_DAY),
    ]
    for movement in movements:
        assert store(finance).add(movement)
    finance.ledger.post_entries([entry(movements[0])])
    manifest = finance.closer.close_day(FRIDAY, NEXT_DAY)
    totals = manifest["totals"]["GBP"]
    assert {name: (sums["rows"], sums["clearing"], sums["fee"]) for name, sums in totals.items() if "move" in name} == {
        "movement_charge": (2, 3_245, 95),
        "movement_payout": (1, -3_000, 0),
    }
    assert manifest["differences_count"] == 0
    assert sum(sums["amount"] for sums in totals.values()) == 2 * a_paid_order().totals.total
    saturday = finance.exporter.draft(Scope(date(2026, 11, 28), TIME_ZONE), NEXT_DAY)
    assert [one.id for one in saturday.entries] == ["P1.movement.txn_4"]


def test_recovery_posts_the_movements_that_the_ledger_lacks(finance: FinanceFixture) -> None:
    store(finance).add(a_movement())
    store(finance).add(an_account_movement("txn_3", MovementKind.PAYOUT, -3_000))
    assert finance.exporter.post_missing_entries(PAID_AT) == 2
    assert finance.exporter.post_missing_entries(PAID_AT) == 0
    posted = finance.ledger.read(finance.ledger.list_keys(FRIDAY)).entries
    assert sorted(posted) == ["P1.movement.txn_1", "account.movement.sandbox.txn_3"]


def test_movement_that_the_table_does_not_have_or_has_otherwise_is_a_difference(finance: FinanceFixture) -> None:
    store(finance).add(a_movement())
    other = replace(a_movement(), fee=46)
    finance.ledger.post_entries([entry(other), entry(a_movement("txn_9"))])
    draft = finance.exporter.draft(Scope(FRIDAY, TIME_ZONE), NEXT_DAY)
    assert draft.differences == [
        Difference("mismatch", "ord_P1", "P1.movement.txn_1", ("fee", "clearing")),
        Difference("unknown", "ord_P1", "P1.movement.txn_9"),
    ]


@dataclass
class PayoutEachDay:
    """A provider whose balance moved once on each of forty days before an instant, and each day after it."""

    opened_at: Instant
    name: str = "daily"

    def balance(self, now: Instant) -> dict[str, int]:
        return {}

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        for day in range(-40, 20):
            if since <= self.opened_at + day * DAY < until:
                at = self.opened_at + day * DAY
                yield Movement(f"txn_{day}", self.name, MovementKind.PAYOUT, "payout", -1, 0, "GBP", at)


@pytest.mark.parametrize("closed_days_before", [0, 5])
def test_each_movement_since_the_first_look_back_is_in_exactly_one_closed_file(
    finance: FinanceFixture, closed_days_before: int
) -> None:
    for back in range(closed_days_before, 0, -1):
        finance.closer.close_day(FRIDAY - timedelta(days=back), PAID_AT)
    source, posted = PayoutEachDay(PAID_AT), set[str]()
    for night in range(4):
        now = PAID_AT + night * DAY + 8 * HOUR
        assert follow_balance(store(finance), source, now, lambda: False).complete
        new = [one for one in store(finance).scan() if one.id not in posted]
        finance.ledger.post_entries([entry(one) for one in new])
        posted |= {one.id for one in new}
        for day in finance.closer.due_days(now):
            finance.closer.close_day(day, now)
    closed = Counter[str]()
    for back in range(-12, 40):
        ledger = finance.exporter.object_store.read(f"{closed_prefix(FRIDAY - timedelta(days=back))}ledger.csv") or b""
        closed.update(part for line in ledger.decode().splitlines() for part in line.split(",") if part in posted)
    assert posted == {f"txn_{day}" for day in range(1 - FIRST_LOOK_BACK // DAY, 4)}
    assert closed == Counter(posted)
