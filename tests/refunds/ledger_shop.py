"""A shop at Stripe, with its events and the ledger entries that follow from its orders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from chalicelib.capture import EventPostponed, process_attempt, process_event, store_event
from chalicelib.finance import LedgerEntry, entries_of
from chalicelib.finance.balance_check import is_balanced
from chalicelib.instants import Instant
from chalicelib.payments import parse_stripe_event
from chalicelib.purchase import Purchase
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture
from tests.builders.stripe_shop import StripeShop
from tests.doubles.stripe import Account, ManualClock
from tests.doubles.stripe.events import Delivery
from tests.payments.stripe_requests import MARK, VISA, gateway_of

TIME_ZONE = "Europe/London"


@dataclass
class LedgerShop(StripeShop):
    """A shop at Stripe that keeps the ledger entries of its orders. It began when its account did."""

    began_at: Instant
    posted: dict[str, LedgerEntry] = field(default_factory=dict)

    @property
    def now(self) -> Instant:
        return NOW + self.account.now - self.began_at

    def pay(self, *lines: tuple[str, int], token: str = VISA, key: str = "key-1") -> Purchase:
        purchase = self.shop.place(*lines, token=token, key=key)
        process_attempt(self.context, purchase.id, purchase.attempt, NOW)
        return self.shop.read(purchase.id)

    def read(self, purchase: Purchase) -> Purchase:
        """Read an order. Check that its ledger is balanced, and that nothing posted before has changed."""
        current = self.shop.read(purchase.id)
        entries = {entry.id: entry for entry in entries_of(current, TIME_ZONE)}
        assert self.posted.items() <= entries.items(), "a posted entry has changed"
        assert is_balanced(current, entries.values())
        self.posted |= entries
        return current

    def deliveries(self, seconds: float = 0) -> list[Delivery]:
        """Let time pass, and return the events that are due."""
        self.account.advance(seconds)
        return self.account.take_deliveries()

    def receive(self, deliveries: Iterable[Delivery]) -> list[EventPostponed]:
        """Store and process events, and acknowledge them. Return the outcomes of those that are postponed."""
        postponed = []
        for delivery in deliveries:
            event = parse_stripe_event(json.loads(delivery.body), MARK)
            if store_event(self.context, event, self.now) == "stored":
                outcome = process_event(self.context, "stripe", event.id, self.now)
                postponed += [outcome] if isinstance(outcome, EventPostponed) else []
            self.account.answer_delivery(delivery, 200)
        return postponed

    def pass_time(self, seconds: float) -> list[EventPostponed]:
        """Let time pass, and process the events that are due."""
        return self.receive(self.deliveries(seconds))

    def money_at_stripe(self, purchase: Purchase) -> int:
        """Return what Stripe has of an order's payment: the sum received, less refunds that did not fail."""
        assert purchase.payment is not None
        intent = self.account.get(purchase.payment.provider_id or "")
        refunds = [one for one in self.account.records("refund") if one["payment_intent"] == intent["id"]]
        refunded = sum(one["amount"] for one in refunds if one["status"] not in {"failed", "canceled"})
        return int(intent["amount_received"] - refunded)


def a_ledger_shop(shop: ShopFixture, account: Account) -> LedgerShop:
    """Return the shop over an account with a clock of its own, with three mugs on sale."""
    shop.put_drop("mug", stock=3)
    account.add_endpoint("webhook", "whsec_1")
    clock = account.state.clock
    assert isinstance(clock, ManualClock)
    at_stripe = replace(shop, context=replace(shop.context, gateway=gateway_of(account)))
    return LedgerShop(at_stripe, account, clock, account.now)
