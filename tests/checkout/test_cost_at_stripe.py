"""DynamoDB write units of an order that is paid at Stripe: its turns at the shared pace, its events, its movement."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import pytest

from chalicelib.capture import process_attempt, store_event
from chalicelib.checkout import complete_purchase
from chalicelib.instants import SECOND
from chalicelib.payments import Pace, SharedPacer, TurnStore, parse_stripe_event
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import PurchaseState
from chalicelib.recovery.reconciliation.follow_balance import READ_AGAIN, follow_balance, read_again
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import a_shop
from tests.checkout.test_cost import PLAIN, Meter
from tests.conftest import EmulatorAccount
from tests.doubles.stripe import API_KEY, Account, Behaviour, InProcessClient, ManualClock
from tests.payments.stripe_requests import MARK, VISA

pytestmark = pytest.mark.emulator

TURN = ("UpdateItem", "commerce", 1.0)


def test_order_at_stripe_costs_seven_write_units_and_its_movement_three(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200)
    account = Account(Behaviour.kind(), clock=ManualClock(NOW))
    account.add_endpoint("webhook", "whsec_1")
    ticks = count(NOW, SECOND)
    turns = TurnStore(shop.tables.dynamodb, shop.tables.commerce, "stripe")
    pacer = SharedPacer(turns, Pace(20, 80), lambda: next(ticks), lambda _: None)
    gateway = StripeGateway(StripeCalls(fixed_key(API_KEY), http=InProcessClient(account), pacer=pacer), MARK)
    context = replace(shop.context, gateway=gateway)
    meter = Meter(shop)
    follow_balance(context.movements, gateway, NOW, lambda: False)

    with meter.measured() as ordering:
        purchase = shop.open_purchase(("mug", 1))
        complete_purchase(context, purchase.id, a_complete_request(VISA), NOW)
        process_attempt(context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    assert ordering == [*PLAIN[:4], TURN, TURN, PLAIN[4]]
    assert sum(units for _, _, units in ordering) == 7

    account.advance(600)
    with meter.measured() as storing:
        for delivery in account.take_deliveries():
            event = parse_stripe_event(json.loads(delivery.body), MARK)
            assert store_event(context, event, account.now) in {"known", "ignored"}
    assert storing == []

    with meter.measured() as following:
        followed = follow_balance(context.movements, gateway, account.now, lambda: False)
    listing = cursor = ("UpdateItem", "commerce", 1.0)
    assert (followed.stored, following) == (1, [listing, ("PutItem", "commerce", 1.0), cursor])
    for _ in range(2):
        with meter.measured() as again:
            read_again(context.movements, gateway, followed.until - READ_AGAIN, followed.until, lambda: False)
        assert [write for write in again if write != listing] == [("PutItem", "refused", 1.0)]
