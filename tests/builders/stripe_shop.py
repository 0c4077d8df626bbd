"""A shop that is paid through Stripe's SDK by the double, both on one clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from chalicelib.capture import process_attempt, process_event, put_on_hold, store_event
from chalicelib.capture.attempt import AttemptOutcome
from chalicelib.capture.provider_events import EventOutcome
from chalicelib.errors import WriteConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import parse_stripe_event
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import CheckoutContext, Purchase
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture, once
from tests.doubles.stripe import Account, Behaviour, ManualClock
from tests.payments.stripe_requests import MARK, VISA, gateway_of


@dataclass
class StripeShop:
    """A shop, its account at Stripe, and the clock of both."""

    shop: ShopFixture
    account: Account
    clock: ManualClock

    @property
    def now(self) -> Instant:
        return self.clock.now

    @property
    def context(self) -> CheckoutContext:
        return self.shop.context

    def advance(self, milliseconds: Instant) -> None:
        """Move the clock of shop and account."""
        self.clock.advance(milliseconds / SECOND)

    def place(self, token: str = VISA, *, drop: str = "mug", key: str = "key-1") -> Purchase:
        """Place an order of one unit."""
        return self.shop.place((drop, 1), token=token, key=key, now=self.now)

    def process(self, purchase: Purchase, *, attempt: int = 1, tried: bool = False) -> AttemptOutcome:
        """Run the capture worker once for an attempt."""
        return process_attempt(self.context, purchase.id, attempt, self.now, tried=tried)

    def process_event_of(self, intent: str, provider_type: str) -> EventOutcome:
        """Let the worker process the account's latest event of a type about an intent."""
        event = next(
            one
            for one in reversed(self.account.records("event"))
            if one["type"] == provider_type and one["data"]["object"]["id"] == intent
        )
        parsed = parse_stripe_event(event, MARK)
        assert store_event(self.context, parsed, self.now) == "stored"
        return process_event(self.context, "stripe", parsed.id, self.now)

    def intents(self) -> dict[str, str]:
        """Return the status of each payment intent, the oldest first."""
        return {one["id"]: one["status"] for one in self.account.records("payment_intent")}

    def received(self) -> int:
        """Return the minor units that all intents received."""
        return sum(one["amount_received"] for one in self.account.records("payment_intent"))

    def read(self, purchase: Purchase) -> Purchase:
        return self.shop.read(purchase.id)


def a_stripe_shop(shop: ShopFixture, **behaviour: Any) -> StripeShop:
    """Return the shop over an account without delays and limits, unless ``behaviour`` says otherwise."""
    clock = ManualClock(NOW)
    account = Account(Behaviour.kind(**behaviour), clock=clock)
    context = replace(shop.context, gateway=gateway_of(account))
    return StripeShop(replace(shop, context=context), account, clock)


def authorised_on_hold(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, token: str = VISA, *, drop: str = "mug"
) -> tuple[Purchase, str]:
    """Put an order on hold between its authorisation and its capture. Return it with its intent."""
    placed = stripe_shop.place(token, drop=drop)
    hold = partial(put_on_hold, stripe_shop.context, placed.id, "ann", stripe_shop.now)
    once(monkeypatch, StripeGateway, "authorise", after=hold)
    with pytest.raises(WriteConflict):
        stripe_shop.process(placed)
    (intent,) = stripe_shop.intents()
    return placed, intent


MINUTES_TO_CERTAINTY = 4
"""Minutes after which a look-up at Stripe is certain: workers have ended, and the search knows their payments."""
