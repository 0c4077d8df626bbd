"""Buyers, an operator, the provider and workers, each with a script, on a stage; and what money must come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from chalicelib.checkout import (
    Caller,
    Checkout,
    CheckoutResult,
    CompleteRequest,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    RefundRequest,
)
from chalicelib.finance.entries import LedgerEntry, entries_of
from chalicelib.instants import HOUR, MINUTE
from chalicelib.payments import Captured, EventKind, PaymentMade, ProviderEvent
from chalicelib.risk import DeclineLimits, RiskRules
from tests.schedules.buyers import FAILS, LAYOUT, SIZES, USES, World
from tests.schedules.stage import FAULTS

LEAPS = (1_000, 4_000, 40_000, 61_000, 11 * MINUTE)
WEB = Caller("web")
TOKENS = (
    "ok", "ok", "refund_timeout", "declined", "requires_action", "requires_action", "timeout", "timeout_before",
    "capture_timeout", "captured_late", "capture_refused",
)  # fmt: skip


@dataclass(frozen=True)
class Script:
    """What a schedule is: who does what, and ``seed`` for who goes first at each call."""

    seed: int
    faults: str
    channel: str
    buyers: Sequence[Sequence[tuple[Any, ...]]]
    operator: Sequence[tuple[Any, ...]]
    provider: Sequence[tuple[Any, ...]]


class MoneyWorld(World):
    """Three units, some sold with a code, some through a channel whose orders are held until they are released."""

    def __init__(self, script: Script) -> None:
        self.script = script
        super().__init__(script.seed)
        self.kept: list[str] = []

    def process(self) -> Checkout:
        rules = RiskRules(DeclineLimits(email=self.script.seed % 3))
        return replace(super().process(), order_hold_channels=frozenset({"market"}), risk_rules=rules)

    def change(self, key: str, quantity: int) -> PurchaseRequest:
        return replace(super().change(key, quantity), attribution={"channel": self.script.channel})

    def play(self) -> Counter[str]:
        faults = FAULTS[self.script.faults]
        for name, steps in zip(("ada", "bob"), self.script.buyers, strict=True):
            self.stage.actor(self.plays(name, self.buys, steps), faults)
        self.stage.actor(self.plays("ann", self.operates, self.script.operator), faults)
        self.stage.actor(self.plays("bank", self.tells, self.script.provider), faults)
        for _ in range(2):
            self.stage.actor(self.works(), faults)
        self.stage.play(LEAPS)
        self.judge()
        return self.stage.happened

    def plays(
        self, name: str, act: Callable[[str, int, tuple[Any, ...]], object], steps: Sequence[tuple[Any, ...]]
    ) -> Callable[[], None]:
        """Each step is tried until it was of use, some times at most: what is not yet possible may soon be."""

        def play() -> None:
            for number, step in enumerate(steps):
                for _ in range(8):
                    self.stage.rests(9)
                    with self.stage.asking(), suppress(*FAILS):
                        if act(name, number, step):
                            self.stage.happened[step[0]] += 1
                            break

        return play

    # Buyers.

    def buys(self, name: str, number: int, step: tuple[Any, ...]) -> bool:
        checkout, now, key = self.process(), self.stage.now, f"{name}-{number}"
        created = checkout.create(self.change(name, 2), now)
        if not isinstance(created, CheckoutResult):
            return False
        self.ids.add(created.purchase.id)
        match step:
            case ("pays", token):
                wish = CompleteRequest(WEB, key, token, "sandbox", "i", "card", token)
                answer = checkout.complete(created.purchase.id, wish, now)
                return isinstance(answer, CheckoutResult) and answer.purchase.state is not PurchaseState.OPEN
            case ("changes", quantity):
                return isinstance(checkout.update(created.purchase.id, self.change(key, quantity), now), CheckoutResult)
            case ("proves" | "fails to prove" as what,):
                return self.bank.answer_challenge(
                    created.purchase.id, created.purchase.attempt, proved=what == "proves"
                )
            case _:
                return isinstance(checkout.cancel(created.purchase.id, WEB, key, "", now), CheckoutResult)

    # The operator.

    def operates(self, name: str, number: int, step: tuple[Any, ...]) -> bool:
        checkout, now, (what, which, *rest) = self.process(), self.stage.now, step
        wanted = {
            "holds": PurchaseState.PLACED,
            "releases": PurchaseState.ON_HOLD,
            "gives up": PurchaseState.ON_HOLD,
        }.get(what, PurchaseState.PAID)
        orders = [order for order in self.purchases() if order.state is wanted]
        if not orders:
            return False
        order = orders[which % len(orders)]
        key = f"{name}-{number}"
        match what, rest:
            case "refunds an amount", (amount,):
                checkout.refund(order.id, RefundRequest(key, "", (), False, name, amount=amount), now)
            case "refunds units", (units, restock):
                wish = RefundRequest(key, "", ((order.lines[0].id, units),), restock, name, shipping=bool(units % 2))
                checkout.refund(order.id, wish, now)
            case "cancels an order", _:
                checkout.cancel_order(order.id, key, "", name, now)
            case "holds", _:
                checkout.put_on_hold(order.id, name, now)
            case "releases", _:
                checkout.release_from_hold(order.id, name, now)
            case _:
                checkout.cancel_held_order(order.id, now)
        return True

    # The provider.

    def payments(self) -> list[PaymentMade]:
        return list(self.bank.payments(0))

    def tells(self, name: str, number: int, step: tuple[Any, ...]) -> bool:
        """An event of any payment, as it stands, or a refund by the provider; perhaps it is never told of."""
        what, which, *rest = step
        made = self.payments()
        if not made:
            return False
        one = made[which % len(made)]
        if what == "refunds in the console":
            left = one.amount - sum(refund.amount for refund in one.refunds)
            if not isinstance(one.standing, Captured) or not left:
                return False
            amount, refund_id = 1 + rest[0] % left, f"{name}-{number}"
            if all(refund.refund_id != refund_id for refund in one.refunds):
                self.bank.refund(one.provider_id, refund_id=refund_id, amount=amount, now=self.stage.now)
            one = next(found for found in self.payments() if found.provider_id == one.provider_id)
        self.note(one, number)
        return True

    def note(self, one: PaymentMade, number: int) -> None:
        checkout, now = self.process(), self.stage.now
        told = ProviderEvent(
            f"evt-{one.provider_id}-{number}", "sandbox", EventKind.PAYMENT, "told", one.provider_id, one.purchase_id,
            one.attempt, one.amount, one.currency,
        )  # fmt: skip
        back = [
            ProviderEvent(
                f"evt-{refund.provider_refund_id}", "sandbox", EventKind.REFUND, "told", one.provider_id,
                amount=refund.amount, currency=one.currency, provider_refund_id=refund.provider_refund_id,
                refund_id=refund.refund_id,
            )
            for refund in one.refunds
        ]  # fmt: skip
        for event in (*back, told):
            if checkout.note_event(event, now) == "stored":
                self.kept.append(event.id)

    # Workers.

    def works(self) -> Callable[[], None]:
        """Messages of attempts and of events, delivered in any order, again and again."""
        random = Random(self.random.random())

        def play() -> None:
            for _ in range(14):
                self.stage.rests(8)
                checkout = self.process()
                with self.stage.asking(), suppress(*FAILS):
                    if self.kept and random.random() < 0.5:
                        checkout.act_on_event("sandbox", random.choice(self.kept), self.stage.now)
                        self.stage.happened["events acted on"] += 1
                    elif self.ids:
                        checkout.capture(random.choice(sorted(self.ids)), random.choice([1, 1, 2]), self.stage.now)

        return play

    # The end.

    def settle(self) -> list[Purchase]:
        """A day later, with nothing failing: messages come again, the repair and the comparison run as every night."""
        for _ in range(3):
            self.stage.pass_time(8 * 24 * HOUR)
            self.checkout.recover_orders(self.again, self.stage.now)
            self.checkout.reconcile(self.again, 0, self.stage.now)
        compared = self.checkout.reconcile(lambda *_: None, 0, self.stage.now)
        assert (compared.differences, compared.enqueued) == ([], 0), "provider and orders differ"
        return self.purchases()

    def again(self, purchase_id: str, attempt: int) -> None:
        """A message, delivered as often as the queue does before it gives up."""
        for _ in range(4):
            with suppress(*FAILS):
                self.checkout.capture(purchase_id, attempt, self.stage.now)
                return

    def judge(self) -> None:
        purchases = self.settle()
        made = {(one.purchase_id, one.attempt): one for one in self.payments()}
        sold_to, used_by = dict[str, int](), dict[str, int]()
        for order in purchases:
            self.stage.happened[order.state.value] += 1
            taken = [
                one
                for (purchase_id, _), one in made.items()
                if purchase_id == order.id and isinstance(one.standing, Captured)
            ]
            self.assert_ledger_agrees(order, taken)
            if order.payment is not None and order.payment.failure == "too_many_attempts":
                self.stage.happened["refused after declines"] += 1
            if order.state is not PurchaseState.PAID:
                assert taken == [], "charged without goods"
                assert order.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}
                continue
            back = sum(
                part.quantity for one in order.refunds if one.restock and not one.failure_code for part in one.lines
            )
            if left := sum(line.quantity for line in order.lines) - back:
                sold_to[order.order_ref] = left
            if order.discounts:
                used_by[order.order_ref] = 1
                self.stage.happened["paid with the code"] += 1
        audit = self.checkout.stock.audit(LAYOUT, sum(SIZES), self.stage.now)
        assert (dict(audit.sold_by_order), audit.mismatches) == (sold_to, ()), "goods differ from orders"
        assert audit.available == sum(SIZES) - sum(sold_to.values()), "a unit is stranded"
        assert dict(self.checkout.stock.audit(USES, 1, self.stage.now).sold_by_order) == used_by

    def assert_ledger_agrees(self, order: Purchase, taken: list[PaymentMade]) -> None:
        """Ledger, provider and order agree to the minor unit; an order that was given back whole nets to zero."""
        rows = entries_of(order, "Europe/London")
        if not taken:
            assert rows == (), "booked without money"
            return
        (payment,) = taken
        refunds = {one.provider_id: one.amount for one in order.refunds if one.amount and not one.failure_code}
        assert not any(one.is_pending for one in order.refunds), "a refund was never carried out"
        assert payment.amount == order.totals.total
        assert refunds == {one.provider_refund_id: one.amount for one in payment.refunds}
        left = payment.amount - sum(refunds.values())
        assert left >= 0, "more given back than taken"
        assert sum(row.amount for row in rows) == left, "the ledger differs from the provider"
        if left == 0:
            self.stage.happened["given back whole"] += 1
            for column in ("amount", "gross", "discount", "net", "tax", "shipping", "commission"):
                assert sum(getattr(row, column) for row in rows) == 0, f"{column} does not net to zero"
        self.stage.happened["given back in part"] += 0 < left < payment.amount
        self.stage.happened["rows"] += len(rows)
        assert len({row.id for row in rows}) == len(rows)
        assert all(isinstance(row, LedgerEntry) for row in rows)
