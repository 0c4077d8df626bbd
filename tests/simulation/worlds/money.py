"""A simulated world of money: scripts for buyers, an operator, the provider and workers, and a check of all amounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from chalicelib.capture import (
    cancel_order,
    process_attempt,
    process_event,
    put_on_hold,
    release_from_hold,
    store_event,
)
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, update_purchase
from chalicelib.finance import LedgerEntry, entries_of
from chalicelib.instants import HOUR, MINUTE
from chalicelib.purchase import (
    CheckoutContext,
    CheckoutResult,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    RefundRequest,
)
from chalicelib.recovery import Comparison, reconcile_payments, recover_lost_orders
from chalicelib.refunds import refund_order
from chalicelib.risk import DeclineLimits, FraudRules
from tests.builders.purchases import PLATFORM, a_complete_request
from tests.providers import PaymentRecord, PaymentStatus, RefundRecord
from tests.simulation.simulator import FAULT_CLASSES, RETRYABLE_ERRORS
from tests.simulation.worlds.provider import NewProvider, SimulatedSandbox
from tests.simulation.worlds.purchases import PurchaseWorld

CLOCK_JUMPS = (1_000, 4_000, 40_000, 61_000, 11 * MINUTE)
TOKENS = (
    "ok", "ok", "refund_timeout", "refund_pending", "refund_fails", "declined", "requires_action", "requires_action",
    "timeout", "timeout_before", "capture_timeout", "captured_late", "capture_refused",
)  # fmt: skip


@dataclass(frozen=True)
class MoneyScript:
    """The steps of each process. ``seed`` decides which process continues at each call."""

    seed: int
    faults: str
    channel: str
    buyers: Sequence[Sequence[tuple[Any, ...]]]
    operator: Sequence[tuple[Any, ...]]
    provider: Sequence[tuple[Any, ...]]
    new_provider: NewProvider = SimulatedSandbox


class MoneyWorld(PurchaseWorld):
    """Three units. Some are sold with a code, some through a channel whose orders wait on hold for an operator."""

    def __init__(self, script: MoneyScript) -> None:
        self.script = script
        super().__init__(script.seed, script.new_provider)
        self.stored_event_ids: list[str] = []

    def new_context(self, **fields: Any) -> CheckoutContext:
        rules = FraudRules(DeclineLimits(email=self.script.seed % 3))
        return super().new_context(order_hold_channels=frozenset({"market"}), fraud_rules=rules, **fields)

    def change(self, key: str, quantity: int) -> PurchaseRequest:
        return replace(super().change(key, quantity), attribution={"channel": self.script.channel})

    def run(self) -> Counter[str]:
        faults = FAULT_CLASSES[self.script.faults]
        for name, steps in zip(("ada", "bob"), self.script.buyers, strict=True):
            self.simulator.add_process(self.script_process(name, self.buyer_step, steps), faults)
        self.simulator.add_process(self.script_process("ann", self.operator_step, self.script.operator), faults)
        self.simulator.add_process(self.script_process("bank", self.provider_step, self.script.provider), faults)
        for _ in range(2):
            self.simulator.add_process(self.message_worker_process(), faults)
        self.simulator.run(CLOCK_JUMPS)
        self.check_at_rest()
        return self.simulator.events_seen

    def script_process(
        self, name: str, do_step: Callable[[str, int, tuple[Any, ...]], object], steps: Sequence[tuple[Any, ...]]
    ) -> Callable[[], None]:
        """Try each step until it has an effect, at most eight times: it may not be possible yet."""

        def run() -> None:
            for number, step in enumerate(steps):
                for _ in range(8):
                    self.simulator.stay_idle(9)
                    with self.simulator.client_request(), suppress(*RETRYABLE_ERRORS):
                        if do_step(name, number, step):
                            self.simulator.events_seen[step[0]] += 1
                            break

        return run

    # Buyers.

    def buyer_step(self, name: str, number: int, step: tuple[Any, ...]) -> bool:
        context, now, key = self.new_context(), self.simulator.now, f"{name}-{number}"
        created = create_purchase(context, self.change(name, 2), now)
        if not isinstance(created, CheckoutResult):
            return False
        self.purchase_ids.add(created.purchase.id)
        match step:
            case ("pays", token):
                answer = complete_purchase(
                    context, created.purchase.id, a_complete_request(self.provider.token(token, key), key), now
                )
                return isinstance(answer, CheckoutResult) and answer.purchase.state is not PurchaseState.OPEN
            case ("changes", quantity):
                return isinstance(
                    update_purchase(context, created.purchase.id, self.change(key, quantity), now), CheckoutResult
                )
            case ("authenticates" | "fails to authenticate" as outcome,):
                return self.provider.answer_challenge(
                    created.purchase.id, created.purchase.attempt, proved=outcome == "authenticates"
                )
            case _:
                return isinstance(cancel_purchase(context, created.purchase.id, PLATFORM, key, "", now), CheckoutResult)

    # The operator.

    def operator_step(self, name: str, number: int, step: tuple[Any, ...]) -> bool:
        context, now, (action, index, *rest) = self.new_context(), self.simulator.now, step
        wanted = {
            "puts on hold": PurchaseState.PLACED,
            "releases from hold": PurchaseState.ON_HOLD,
            "cancels a held order": PurchaseState.ON_HOLD,
        }.get(action, PurchaseState.PAID)
        orders = [order for order in self.purchases() if order.state is wanted]
        if not orders:
            return False
        order = orders[index % len(orders)]
        key = f"{name}-{number}"
        match action, rest:
            case "refunds an amount", (amount,):
                refund_order(context, order.id, RefundRequest(key, "", (), False, name, amount=amount), now)
            case "refunds units", (units, restock):
                request = RefundRequest(key, "", ((order.lines[0].id, units),), restock, name, shipping=bool(units % 2))
                refund_order(context, order.id, request, now)
            case "puts on hold", _:
                put_on_hold(context, order.id, name, now)
            case "releases from hold", _:
                release_from_hold(context, order.id, name, now)
            case _:
                cancel_order(context, order.id, key, "", name, now)
        return True

    # The provider.

    def provider_step(self, name: str, number: int, step: tuple[Any, ...]) -> bool:
        """Send an event of any payment, or make a refund in the provider's console, whose event may never be sent."""
        action, index, *rest = step
        payments = self.provider.payments()
        if not payments:
            return False
        payment = payments[index % len(payments)]
        if action not in {"sends an event", "refunds in the console"}:
            return self.provider.take_step(action, payment, *rest)
        if action == "refunds in the console":
            if payment.status is not PaymentStatus.CAPTURED or not payment.left:
                return False
            if all(refund.refund_id != f"{name}-{number}" for refund in payment.refunds):
                self.provider.refund_in_console(payment, f"{name}-{number}", 1 + rest[0] % payment.left)
            payment = next(found for found in self.provider.payments() if found.id == payment.id)
        self.send_webhooks(payment, number)
        return True

    def send_webhooks(self, payment: PaymentRecord, number: int) -> None:
        context, now = self.new_context(), self.simulator.now
        for event in self.provider.events(payment, number):
            if store_event(context, event, now) == "stored":
                self.stored_event_ids.append(event.id)

    # Workers.

    def message_worker_process(self) -> Callable[[], None]:
        """Deliver messages of attempts and of provider events in any order, again and again."""
        random = Random(self.random.random())

        def run() -> None:
            for _ in range(14):
                self.simulator.stay_idle(8)
                context = self.new_context()
                with self.simulator.client_request(), suppress(*RETRYABLE_ERRORS):
                    if self.stored_event_ids and random.random() < 0.5:
                        process_event(
                            context, self.provider.name, random.choice(self.stored_event_ids), self.simulator.now
                        )
                        self.simulator.events_seen["events processed"] += 1
                    elif self.purchase_ids:
                        process_attempt(
                            context,
                            random.choice(sorted(self.purchase_ids)),
                            random.choice([1, 1, 2]),
                            self.simulator.now,
                        )

        return run

    # The end.

    def redeliver_until_settled(self) -> list[Purchase]:
        """Recover and reconcile without faults, on the same day and on three later ones, as the nightly jobs do."""
        for wait in (2 * HOUR, *[8 * 24 * HOUR] * 3):
            self.simulator.advance_clock(wait)
            self.deliver_events()
            recover_lost_orders(self.context, self.deliver_capture, self.simulator.now)
            self.reconcile(self.deliver_capture)
        compared = self.reconcile(lambda *_: None)
        assert (compared.differences, compared.enqueued) == ([], 0), "provider and orders differ"
        return self.purchases()

    def deliver_events(self) -> None:
        """Deliver all events that the provider has sent of itself, until none is left."""
        while events := self.provider.due_events():
            for event in events:
                store_event(self.context, event, self.simulator.now)
                with suppress(*RETRYABLE_ERRORS):
                    process_event(self.context, self.provider.name, event.id, self.simulator.now)

    def reconcile(self, enqueue: Callable[[str, int], None]) -> Comparison:
        """Compare all orders in one run."""
        report = reconcile_payments(self.context, enqueue, lambda: self.simulator.now, lambda: False, begin=True)
        assert report.complete
        assert report.comparison is not None
        return report.comparison

    def deliver_capture(self, purchase_id: str, attempt: int) -> None:
        """Deliver a capture message at most four times, as the queue does."""
        for _ in range(4):
            with suppress(*RETRYABLE_ERRORS):
                process_attempt(self.context, purchase_id, attempt, self.simulator.now)
                return

    def check_at_rest(self) -> None:
        purchases = self.redeliver_until_settled()
        payments = self.provider.payments()
        assert not any(one.status in _RESERVED for one in payments), "money is still reserved"
        captured = [one for one in payments if one.status is PaymentStatus.CAPTURED]
        for order in purchases:
            self.simulator.events_seen[order.state.value] += 1
            captured_payments = [one for one in captured if one.purchase_id == order.id]
            self.check_ledger(order, captured_payments)
            if order.payment is not None and order.payment.failure == "too_many_attempts":
                self.simulator.events_seen["refused after declines"] += 1
            if order.state is not PurchaseState.PAID:
                assert captured_payments == [], "charged without units"
                assert order.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}
        self.check_stock([order for order in purchases if order.state is PurchaseState.PAID])

    def check_ledger(self, order: Purchase, captured_payments: list[PaymentRecord]) -> None:
        """Check that ledger, provider and order agree to the minor unit. A fully refunded order nets to zero."""
        rows = entries_of(order, "Europe/London")
        if not captured_payments:
            assert rows == (), "a ledger entry without money"
            return
        (payment,) = captured_payments
        refunds = {one.provider_id: one for one in order.refunds if one.amount and one.provider_id}
        assert not any(one.is_pending for one in order.refunds), "a refund is still pending"
        assert payment.captured == order.totals.total
        assert {made.id for made in payment.refunds if not made.failed} <= refunds.keys() <= _ids(payment.refunds)
        for made in payment.refunds:
            known = refunds.get(made.id)
            assert known is None or (known.amount, known.failure_code is not None) == (made.amount, made.failed)
        withdrawn = sum(dispute.withdrawn for dispute in order.disputes)
        remaining = payment.captured - sum(made.amount for made in payment.refunds if not made.failed) - withdrawn
        assert remaining == payment.left, "the order's disputes differ from the provider's"
        assert remaining >= 0, "more was refunded than captured"
        assert sum(row.amount for row in rows) == remaining, "the ledger differs from the provider"
        if remaining == 0 and not withdrawn:
            self.simulator.events_seen["refunded whole"] += 1
            for column in ("amount", "gross", "discount", "net", "tax", "shipping", "commission"):
                assert sum(getattr(row, column) for row in rows) == 0, f"{column} does not net to zero"
        self.simulator.events_seen["refunds that failed later"] += sum(
            one.failed_at is not None for one in order.refunds
        )
        self.simulator.events_seen["lost to a dispute"] += withdrawn > 0
        self.simulator.events_seen["refunded in part"] += 0 < remaining < payment.captured
        self.simulator.events_seen["rows"] += len(rows)
        assert len({row.id for row in rows}) == len(rows)
        assert all(isinstance(row, LedgerEntry) for row in rows)


def _ids(refunds: Sequence[RefundRecord]) -> set[str]:
    return {refund.id for refund in refunds}


_RESERVED = frozenset({PaymentStatus.RESERVED, PaymentStatus.WAITING})
