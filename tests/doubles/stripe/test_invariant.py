"""The invariant of the money, under hundreds of random actions, and forks that go their own way."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour, faults
from tests.doubles.stripe.calls import create
from tests.doubles.stripe.clock import START
from tests.doubles.stripe.state import Record
from tests.doubles.stripe.tokens import CARDS

STEPS = 300
BEHAVIOURS = {
    "harsh": Behaviour(limits=False),
    "kind": Behaviour.kind(),
    "euro": Behaviour(limits=False, settlement_currency="eur", fee_tax_bps=2_000),
    "poor": Behaviour(limits=False, refunds_need_balance=True, negative_payouts=False),
    "slow": Behaviour(limits=False, capture_answer="processing", refund_status="succeeded"),
}


class Shop:
    """Random actions of buyers, staff, banks and the network on one account."""

    def __init__(self, account: Account, seed: int) -> None:
        self.account, self.random = account, random.Random(seed)
        self.client = account.client()
        self.done: dict[str, int] = {}
        self.keys = 0
        self.weights: list[tuple[Callable[[], object], int]] = [
            (self.pay, 6),
            (self.capture, 5),
            (self.cancel, 1),
            (self.refund, 5),
            (self.prove, 2),
            (self.dispute, 1),
            (self.decide, 1),
            (self.fail_refund, 1),
            (self.payout, 1),
            (self.wait, 4),
        ]

    def step(self) -> None:
        """Do one action. Stripe may refuse it; the double may not break."""
        action = self.random.choices([action for action, _ in self.weights], [weight for _, weight in self.weights])[0]
        if self.random.random() < 0.15:
            self.account.plan_faults(self.random.choice([faults.closed, faults.garbage])(after_effect=True))
        try:
            action()
        except (stripe.StripeError, LookupError):
            return
        self.done[action.__name__] = self.done.get(action.__name__, 0) + 1

    def _any(self, kind: str, **wanted: object) -> Record:
        found = [one for one in self.account.records(kind) if wanted.items() <= one.items()]
        return self.random.choice(found)

    def pay(self) -> None:
        card = self.random.choice(["visa", "authenticationRequired", *CARDS])
        amount, currency = self.random.randrange(100, 10_000), self.random.choice(["gbp", "gbp", "usd"])
        create(self.client, f"pm_card_{card}", key=self._key(), amount=amount, currency=currency)

    def _key(self) -> str:
        self.keys += 1
        return str(self.keys)

    def capture(self) -> None:
        intent = self._any("payment_intent", status="requires_capture")
        sent: Any = {"amount_to_capture": self.random.randint(1, intent["amount_capturable"])}
        whole = self.random.random() < 0.6
        self.client.v1.payment_intents.capture(intent["id"], {} if whole else sent, {"idempotency_key": self._key()})

    def cancel(self) -> None:
        name = self._any("payment_intent")["id"]
        self.client.v1.payment_intents.cancel(name, {}, {"idempotency_key": self._key()})

    def refund(self) -> None:
        sent: Any = {"charge": self._any("charge", captured=True)["id"], "amount": self.random.randrange(1, 3_000)}
        self.client.v1.refunds.create(sent, {"idempotency_key": self._key()})

    def prove(self) -> None:
        waiting = self._any("payment_intent", status="requires_action")
        self.account.authenticate(waiting["id"], succeeded=self.random.random() < 0.7)

    def dispute(self) -> None:
        charge = self._any("charge", captured=True)["id"]
        self.account.open_dispute(charge, amount=self.random.randrange(1, 5_000), inquiry=self.random.random() < 0.4)

    def decide(self) -> None:
        open_ones = [one for one in self.account.records("dispute") if one["status"].endswith(("response", "review"))]
        dispute = self.random.choice(open_ones)
        if dispute["status"].startswith("warning"):
            self.account.escalate_inquiry(dispute["id"])
            return
        actions = (self.account.submit_evidence, self.account.win_dispute, self.account.lose_dispute)
        self.random.choice(actions)(dispute["id"])

    def fail_refund(self) -> None:
        self.account.fail_refund(self._any("refund", _category="refund")["id"])

    def payout(self) -> None:
        if self.random.random() < 0.5:
            self.account.payout_now(amount=self.random.randrange(100, 5_000))
        else:
            self.account.fail_payout(self._any("payout")["id"])

    def wait(self) -> None:
        self.account.advance(self.random.choice([1, 3, 60, 3_600, 86_400, 86_400, 8 * 86_400]))


def _shops(behaviour: Behaviour) -> Iterator[Shop]:
    for seed in range(3):
        account = Account(behaviour)
        account.state.rates |= {"usd": "0.8", "gbp": "1.15" if behaviour.settlement_currency == "eur" else "1"}
        yield Shop(account, seed)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_the_balance_is_right_after_each_random_action(name: str) -> None:
    done: Counter[str] = Counter()
    for shop in _shops(BEHAVIOURS[name]):
        for _ in range(STEPS):
            shop.step()
            shop.account.check_balance()
        shop.account.advance(200 * 86_400)
        shop.account.check_balance()
        done.update(shop.done)
    assert min(done[action.__name__] for action, _ in shop.weights) >= 5, done


def test_the_same_seed_makes_the_same_account() -> None:
    shops = [Shop(Account(Behaviour(limits=False)), 7) for _ in range(2)]
    for shop in shops:
        for _ in range(100):
            shop.step()
    assert shops[0].account.state.records == shops[1].account.state.records
    assert shops[0].done == shops[1].done


@pytest.mark.parametrize("kind", ["transaction", "charge", "held", "fee"])
def test_a_wrong_account_is_noticed(kind: str) -> None:
    account = Account()
    name = create(account.client()).id
    if kind == "held":
        from tests.doubles.stripe.balance import post

        post(account.state, "charge", "charge", 1_670, "gbp", account.get(name)["latest_charge"])
    else:
        account.console_capture(name)
        account.advance(3)
        account.check_balance()
        [transaction] = account.records("balance_transaction")
        if kind == "transaction":
            del account.state.records["balance_transaction"][transaction["id"]]
        elif kind == "charge":
            account.state.change(transaction["source"], amount_refunded=1)
        else:
            account.state.change(transaction, net=transaction["net"] + 1)
    with pytest.raises(AssertionError):
        account.check_balance()


def test_a_copy_with_a_clock_of_the_test_follows_its_copy() -> None:
    class World:
        def __init__(self) -> None:
            self.now = START
            self.account = Account(clock=self.clock)
            self.client = self.account.client()

        def clock(self) -> int:
            return self.now

    world = World()
    name = create(world.client).id
    twin = copy.deepcopy(world)
    twin.now += 8 * 86_400_000
    assert twin.client.v1.payment_intents.retrieve(name).status == "canceled"
    assert world.client.v1.payment_intents.retrieve(name).status == "requires_capture"
    with pytest.raises(TypeError, match="follows the test's clock"):
        world.account.advance(1)
