"""A shop's life at the double of Stripe: orders, refunds, disputes, payouts, and events that are lost, late or doubled.

The shop runs whole over an account in memory: streams, queues, workers, nightly jobs. Everything random comes from one
seed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final, cast

from chalicelib.capture import store_event
from chalicelib.errors import LivedropError
from chalicelib.finance.ledger import LedgerSnapshot
from chalicelib.instants import DAY, HOUR, SECOND, Instant, rfc3339
from chalicelib.payments import parse_stripe_event
from chalicelib.purchase import Purchase, PurchaseState, RefundRequest
from chalicelib.recovery import ReconciliationReport, reconcile_payments
from chalicelib.refunds import refund_order
from chalicelib.shows import PutShowRequest
from chalicelib.streams import jobs
from tests.builders.purchases import NOW
from tests.builders.shop import SHOW, ShopFixture
from tests.conftest import Tables
from tests.crashes.connection import Connection
from tests.crashes.crash_world import CrashableProcess, RedeliveredError
from tests.crashes.provider import CrashProvider
from tests.doubles.stripe import Account, Behaviour, ManualClock
from tests.doubles.stripe.answers import Refusal
from tests.doubles.stripe.events import Delivery
from tests.fakes.aws import in_memory_aws
from tests.payments.stripe_requests import MARK, gateway_of

CARDS: Final = (*["pm_card_visa"] * 8, "pm_card_refundFail", "pm_card_refundFailAtOnce", "pm_card_pendingRefund")
_MAX_TRIES: Final = 200
_DECIDED: Final = frozenset({"won", "lost", "warning_closed", "prevented"})


class AccountAsProvider:
    """Builds the gateway of a process over one account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def new_gateway(self, fake_aws: Any, connection: Any) -> Any:
        return gateway_of(self.account)


class YearOfProvider:
    """One shop and its provider. ``mean_orders`` are placed a day."""

    def __init__(self, seed: int, settlement: str, mean_orders: int) -> None:
        self.random, self.mean_orders = Random(seed), mean_orders
        behaviour = Behaviour(limits=False, settlement_currency=settlement)
        self.account = Account(behaviour, clock=ManualClock(NOW // SECOND * SECOND))
        self.account.state.rates["gbp"] = "1.1702"
        self.aws = in_memory_aws()
        provider = cast("CrashProvider", AccountAsProvider(self.account))
        self.process = CrashableProcess(self.aws, provider, Connection())
        self.context = self.process.context
        tables = Tables(self.aws.clients["dynamodb"], "stock", "commerce", "sandbox")
        self.rooms = ShopFixture(tables, self.context.stock, self.context.shows, self.context, cast("Any", None))
        show = {"title": "Tonight", "currency": "GBP", "starts_at": rfc3339(NOW - HOUR)}
        self.context.shows.put_show(SHOW, PutShowRequest.model_validate(show), "test", NOW - HOUR)
        self.stocked = 0
        self.pool: list[Delivery] = []
        self.tries: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.orders: list[str] = []
        self.lost_subjects: dict[str, bool] = {}
        """Whether all events of an object are lost, by the object's id."""

    @property
    def now(self) -> Instant:
        return self.account.now

    # Life

    def live(self, days: int) -> None:
        """Let days pass, in steps of some hours. Each night the nightly jobs run."""
        end = self.now + days * DAY
        night = self.now + DAY
        while self.now < end:
            self.account.advance(self.random.randrange(1, 9 * 3_600))
            for _ in range(self.random.randrange(2)):
                self.happen()
            self.deliver(lossy=True)
            if self.random.random() < 0.4:
                budget = self.random.randrange(1, 60)
                self.reconcile(begin=False, calls=budget)
            if self.now >= night:
                night += DAY
                self.open_day()
                self.run_night()

    def open_day(self) -> None:
        """Change the rate of the day, and sell the day's orders at odd times."""
        self.account.state.rates["gbp"] = f"1.{self.random.randrange(1_400, 1_900)}"
        for _ in range(self.random.randrange(2 * self.mean_orders + 1)):
            self.place()
            self.account.advance(self.random.randrange(1, 600))

    def place(self) -> None:
        number = len(self.orders)
        drop = f"drop-{number // 400}"
        if number % 400 == 0:
            self.rooms.put_drop(drop, stock=900, now=self.now)
        quantity, card = self.random.choice((1, 1, 2)), self.random.choice(CARDS)
        purchase = self.rooms.place((drop, quantity), token=card, key=f"order-{number}", now=self.now)
        self.orders.append(purchase.id)
        self.seen["placed"] += 1
        self.deliver_streams()
        self.deliver_queue("captures")

    def happen(self) -> None:
        """Let something happen to a payment, a refund, a dispute or the account."""
        things: list[Callable[[], None]] = [
            self.refund, self.refund, self.refund_in_console, self.open_dispute, self.go_on_with_dispute,
            self.go_on_with_dispute, self.pay_by_other_software, self.fail_refund, self.fail_payout, self.payout_now,
        ]  # fmt: skip
        thing = self.random.choice(things)
        with suppress(LivedropError, NothingToDoError, Refusal):
            thing()
            self.seen[thing.__name__] += 1

    def some_order(self) -> Purchase:
        """Return a paid order, more often a recent one.

        Raises: NothingToDoError.
        """
        recent = self.orders[-60:] if self.random.random() < 0.7 else self.orders
        purchase = self.rooms.read(self.random.choice(recent))
        if purchase.state is not PurchaseState.PAID:
            raise NothingToDoError
        return purchase

    def refund(self) -> None:
        purchase = self.some_order()
        self.seen["refunds asked"] += 1
        whole = self.random.random() < 0.5
        parts = ((purchase.lines[0].id, 1),) if whole else ()
        amount = None if whole else self.random.randrange(1, 900)
        request = RefundRequest(
            f"refund-{self.seen['refunds asked']}", "", parts, restock=whole, actor="ann", amount=amount
        )
        refund_order(self.context, purchase.id, request, self.now)

    def refund_in_console(self) -> None:
        purchase = self.some_order()
        assert purchase.payment is not None
        self.account.console_refund(purchase.payment.provider_id or "", self.random.randrange(1, 900))

    def open_dispute(self) -> None:
        purchase = self.some_order()
        assert purchase.payment is not None
        self.account.open_dispute(purchase.payment.provider_id or "", inquiry=self.random.random() < 0.3)

    def go_on_with_dispute(self) -> None:
        open_ones = [one for one in self.account.records("dispute") if one["status"] not in _DECIDED]
        if not open_ones:
            raise NothingToDoError
        dispute = self.random.choice(open_ones)
        if dispute["status"].startswith("warning"):
            self.account.escalate_inquiry(dispute["id"])
            return
        steps = (self.account.submit_evidence, self.account.win_dispute, self.account.lose_dispute)
        step = self.random.choice(steps)
        step(dispute["id"])
        self.seen[step.__name__] += 1

    def fail_refund(self) -> None:
        done = [one for one in self.account.records("refund")[-40:] if one["status"] == "succeeded"]
        moved = [one for one in done if one["balance_transaction"]]
        if not moved:
            raise NothingToDoError
        self.account.fail_refund(self.random.choice(moved)["id"])

    def pay_by_other_software(self) -> None:
        payment = self.account.foreign_payment(amount=self.random.randrange(100, 9_000), currency="gbp")
        if self.random.random() < 0.3:
            self.account.advance(10)
            self.account.console_refund(payment["id"], 50)

    def fail_payout(self) -> None:
        payouts = self.account.records("payout")[-5:]
        if not payouts:
            raise NothingToDoError
        self.account.fail_payout(self.random.choice(payouts)["id"])

    def payout_now(self) -> None:
        self.account.payout_now(amount=self.random.randrange(1, 5_000))

    # The platform

    def deliver(self, *, lossy: bool) -> None:
        """Deliver events of the provider in any order, some twice and some never, and then all messages."""
        self.pool += self.account.take_deliveries()
        self.random.shuffle(self.pool)
        kept = []
        for delivery in self.pool:
            draw = self.random.random() if lossy else 1
            body = json.loads(delivery.body)
            if draw < 0.05 or self.lost_subjects.setdefault(body["data"]["object"]["id"], self.random.random() < 0.2):
                self.seen["events lost"] += 1
                self.account.answer_delivery(delivery, 200)
            elif draw < 0.4:
                kept.append(delivery)
            else:
                for _ in range(2 if draw < 0.5 else 1):
                    store_event(self.context, parse_stripe_event(body, MARK), self.now)
                self.seen["events delivered"] += 1
                self.account.answer_delivery(delivery, 200)
        self.pool = kept
        self.deliver_streams()
        for queue in ("captures", "ledger"):
            self.deliver_queue(queue, lossy=lossy)

    def deliver_streams(self) -> None:
        self.aws.streams["stock"].clear()
        records, self.aws.streams["commerce"] = self.aws.streams["commerce"], []
        if records:
            self.process.on_purchase(records)

    def deliver_queue(self, name: str, *, lossy: bool = False) -> None:
        """Deliver each message once, in any order. A message of the ledger may be lost or come twice."""
        bodies, self.aws.queues[name] = self.aws.queues.get(name, []), []
        self.random.shuffle(bodies)
        for body in bodies:
            if lossy and name == "ledger" and self.random.random() < 0.05:
                self.seen["ledger messages lost"] += 1
                continue
            try:
                self.process.on_message(name, [body], self.now)
            except RedeliveredError:
                self.tries[body] += 1
                assert self.tries[body] < _MAX_TRIES, body
                self.aws.queues[name].append(body)
            if name == "ledger" and self.random.random() < 0.05:
                self.process.on_message(name, [body], self.now)
        self.deliver_streams()

    def run_night(self) -> None:
        """Recover orders, begin a comparison in one or several runs, and close the days that are over."""
        self.process.recover_orders(self.now)
        self.deliver(lossy=False)
        calls = self.random.choice((None, None, 300))
        self.reconcile(begin=True, calls=calls)
        self.deliver(lossy=False)
        if self.random.random() < 0.3:
            self.process.close_day(self.now)

    def reconcile(self, *, begin: bool, calls: int | None = None) -> ReconciliationReport:
        """Run the follower and the comparison once, for a number of questions to the clock; None: without a limit."""
        questions = iter(range(calls)) if calls is not None else None
        report = reconcile_payments(
            self.context,
            jobs.capture_enqueuer(self.process.queues["captures"]),
            lambda: self.now,
            lambda: questions is not None and next(questions, None) is None,
            begin=begin,
        )
        self.seen["runs"] += 1
        self.seen["runs cut short"] += not report.complete
        if report.complete and report.comparison is not None and begin:
            self.seen["refunds recorded at night"] += report.comparison.refunds_recorded
            self.seen["disputes recorded at night"] += report.comparison.disputes_recorded
        for row in report.statement or []:
            assert row.difference == 0, (row, self.now)
            self.seen["statements"] += 1
        return report

    def settle(self) -> ReconciliationReport:
        """Let two quiet months pass, so that refunds, disputes and payouts end, and return the last comparison."""
        for _ in range(70):
            self.account.advance(DAY / SECOND)
            self.deliver(lossy=False)
            self.run_night()
        self.account.advance(HOUR / SECOND)
        self.deliver(lossy=False)
        report = self.reconcile(begin=True)
        self.deliver(lossy=False)
        return report

    def ledger(self) -> LedgerSnapshot:
        return self.process.ledger.read(key for key in self.aws.objects() if key.startswith("ledger/"))

    def under_way(self) -> int:
        """Return what the provider has and has not paid out, by its own account."""
        paid_out = [one for one in self.account.records("payout") if one["status"] not in {"failed", "canceled"}]
        types = {"payout", "payout_failure"}
        moved = [one for one in self.account.records("balance_transaction") if one["type"] not in types]
        return int(sum(one["net"] for one in moved) - sum(one["amount"] for one in paid_out))


class NothingToDoError(Exception):
    """There is nothing of that kind yet."""
