"""Workers of queues and schedules."""

from __future__ import annotations

from datetime import date

from chalicelib.finance import RunState
from chalicelib.instants import HOUR, MINUTE
from chalicelib.purchase import PurchaseState
from chalicelib.streams.capture import process_payments
from chalicelib.streams.jobs import close_days, recover_orders, run_exports
from tests.builders.messages import MessagingFixture
from tests.builders.paid_orders import PAID_AT, a_paid_order, clock_showing, store_purchases
from tests.builders.purchases import NOW as SHOW_TIME
from tests.builders.shop import ShopFixture
from tests.finance.conftest import FinanceFixture
from tests.streams.conftest import a_queue_batch

FRIDAY = date(2026, 11, 27)


def test_bad_message_does_not_stop_the_payments_of_others(shop: ShopFixture, messaging: MessagingFixture) -> None:
    shop.put_drop("mug", stock=9)
    placed = shop.place(("mug", 1), key="key-1")
    lost = shop.place(("mug", 1), key="key-2", token="timeout_before")
    messages = [
        "not json",
        {"purchase_id": lost.id, "attempt": 1},
        {"purchase_id": placed.id, "attempt": placed.attempt},
    ]
    answer = process_payments(a_queue_batch(*messages), shop.context, messaging.captures, SHOW_TIME)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert shop.read(placed.id).state is PurchaseState.PAID
    assert shop.read(lost.id).state is PurchaseState.PLACED
    message = {"purchase_id": lost.id, "attempt": lost.attempt, "tries": 1}
    again = process_payments(a_queue_batch(message), shop.context, messaging.captures, SHOW_TIME)
    assert again == {"batchItemFailures": []}
    assert shop.read(lost.id).state is PurchaseState.PAID
    assert messaging.sent(messaging.captures) == []


def test_attempt_that_waits_for_its_buyer_is_delayed(shop: ShopFixture, messaging: MessagingFixture) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1), token="requires_action")
    message = {"purchase_id": placed.id, "attempt": 1}
    assert process_payments(a_queue_batch(message), shop.context, messaging.captures, SHOW_TIME) == {
        "batchItemFailures": []
    }
    assert shop.read(placed.id).state is PurchaseState.AWAITING_BUYER
    waiting = messaging.sqs.get_queue_attributes(
        QueueUrl=messaging.captures.url, AttributeNames=["ApproximateNumberOfMessagesDelayed"]
    )
    assert waiting["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "1"


def test_export_worker_returns_the_runs_that_failed(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    run = finance.exports.request_export(FRIDAY, "tonight", "k1", "finance", PAID_AT)
    batch = a_queue_batch({"date": run.date, "run_id": "ghost"}, {"date": run.date, "run_id": run.id})
    answer = run_exports(batch, finance.exports, clock_showing(PAID_AT))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    (done,) = finance.exports.runs_of_day(FRIDAY)
    assert (done.state, done.orders) == (RunState.DONE, 1)


def test_schedule_closes_yesterday(finance: FinanceFixture) -> None:
    store_purchases(finance.purchases, a_paid_order())
    assert close_days(finance.exports, clock_showing(PAID_AT + 8 * HOUR)) == {
        "closed": [{"date": "2026-11-27", "manifest": "exports/date=2026-11-27/revision=1/manifest.json"}],
        "differences": 0,
    }
    assert close_days(finance.exports, clock_showing(PAID_AT + 8 * HOUR)) == {"closed": [], "differences": 0}


def test_recovery_enqueues_overdue_purchases_and_posts_missing_entries(
    shop: ShopFixture, finance: FinanceFixture, messaging: MessagingFixture
) -> None:
    shop.put_drop("mug", stock=9)
    paid = shop.pay(("mug", 1), key="key-1")
    placed = shop.place(("mug", 1), key="key-2")
    found = recover_orders(shop.context, finance.exporter, messaging.captures, SHOW_TIME + 2 * MINUTE)
    assert messaging.sent(messaging.captures) == [{"purchase_id": placed.id, "attempt": 1}]
    assert (found["enqueued"], found["entries_posted"]) == (1, 2)
    assert f"{paid.id}.sale.{paid.lines[0].id}" in finance.ledger.read(finance.ledger.list_keys(FRIDAY)).entries
    again = recover_orders(shop.context, finance.exporter, messaging.captures, SHOW_TIME + 2 * MINUTE)
    assert again["entries_posted"] == 0
