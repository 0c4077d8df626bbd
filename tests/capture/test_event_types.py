"""Every event that Stripe documents is sorted by its type; unknown, thin and foreign ones are acknowledged."""

from __future__ import annotations

import pytest

from chalicelib.capture import process_event, store_event
from chalicelib.payments import EventKind, parse_stripe_event
from chalicelib.payments.events import STRIPE_EVENTS
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture
from tests.doubles.stripe import Account, Behaviour
from tests.payments.stripe_requests import MARK
from tests.refunds.ledger_shop import LedgerShop, a_ledger_shop


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> LedgerShop:
    return a_ledger_shop(shop, Account(Behaviour.kind()))


@pytest.fixture
def counted_metrics(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr("chalicelib.capture.provider_events.count", names.append)
    return names


def test_every_documented_event_is_sorted_and_none_is_an_exception(stripe_shop: LedgerShop) -> None:
    for provider_type, kind in STRIPE_EVENTS.items():
        body = {
            "id": f"evt_{provider_type}",
            "type": provider_type,
            "data": {"object": {"id": "x_1", "metadata": {"livedrop": MARK}}},
        }
        event = parse_stripe_event(body, MARK)
        assert event.kind is kind
        stored = store_event(stripe_shop.context, event, NOW)
        assert (stored == "ignored") == (kind is EventKind.NOTED)
        if stored == "stored":
            process_event(stripe_shop.context, "stripe", event.id, NOW)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "evt_1", "type": "customer.created"},
        {"id": "evt_1", "type": "refund.created", "object": "v2.core.event", "related_object": {"id": "re_1"}},
        {"id": "evt_1", "type": "v1.billing.meter.error_report_triggered", "object": "v2.core.event"},
        {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1", "metadata": {}}}},
    ],
    ids=["unknown", "thin", "thin and unknown", "of other software"],
)
def test_unknown_thin_and_foreign_events_are_acknowledged_and_counted(
    stripe_shop: LedgerShop, counted_metrics: list[str], body: dict[str, object]
) -> None:
    event = parse_stripe_event(body, MARK)
    assert (event.kind, store_event(stripe_shop.context, event, NOW)) == (EventKind.OTHER, "ignored")
    assert counted_metrics == ["payment_events_ignored"]


def test_amount_of_a_successful_payment_is_what_was_received(stripe_shop: LedgerShop) -> None:
    """An event of a part capture keeps the amount that was asked for."""
    intent = {
        "id": "pi_1",
        "amount": 1_670,
        "amount_received": 100,
        "currency": "gbp",
        "metadata": {"livedrop": MARK, "purchase": "p1", "attempt": "1"},
    }
    body = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": intent}}
    assert parse_stripe_event(body, MARK).amount == 100
