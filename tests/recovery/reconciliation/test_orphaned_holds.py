"""A hold that an ended attempt left at Stripe is voided by the next comparison, however late that runs."""

from __future__ import annotations

import pytest

from chalicelib.capture.attempt import Failed
from chalicelib.instants import DAY, HOUR, MINUTE, Instant
from chalicelib.payments import OutcomeUnknownError
from chalicelib.payments.stripe import lookup
from chalicelib.purchase import PurchaseState
from chalicelib.recovery.reconciliation.store import OLDEST_ORPHAN
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture
from tests.builders.stripe_shop import MINUTES_TO_CERTAINTY, StripeShop, a_stripe_shop
from tests.doubles.stripe import faults

CREATE = "payment_intents.create"


def shop_with_orphan(shop: ShopFixture, *, search: bool = True) -> StripeShop:
    """Compare, then end an attempt whose first creation has its effect a quarter of an hour after the end."""
    shop.put_drop("mug", stock=3)
    stripe_shop = a_stripe_shop(shop, search=search)
    compare_all(stripe_shop.context, stripe_shop.now)
    placed = stripe_shop.place("pm_card_visa_1")
    stripe_shop.account.fail_next(CREATE, faults.late(20 * MINUTE))
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    stripe_shop.account.fail_next(CREATE, faults.refused("generic_decline"))
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed, tried=True) == Failed("generic_decline")
    assert stripe_shop.read(placed).state is PurchaseState.OPEN
    return stripe_shop


def compare_and_process(stripe_shop: StripeShop) -> int:
    """Compare all orders, and process the attempts that the comparison enqueues. Return how many those were."""
    enqueued: list[tuple[str, int]] = []
    compare_all(stripe_shop.context, stripe_shop.now, lambda *attempt: enqueued.append(attempt))
    for purchase_id, attempt in enqueued:
        stripe_shop.process(stripe_shop.context.purchases.read(purchase_id), attempt=attempt)  # type: ignore[arg-type]
    return len(enqueued)


@pytest.mark.parametrize("search", [True, False])
@pytest.mark.parametrize("after", [24 * HOUR, 27 * HOUR, 6 * DAY])
def test_orphaned_hold_is_voided_by_the_next_comparison(shop: ShopFixture, after: Instant, *, search: bool) -> None:
    stripe_shop = shop_with_orphan(shop, search=search)
    stripe_shop.advance(after)
    assert "requires_capture" in stripe_shop.intents().values()
    assert compare_and_process(stripe_shop) == 1
    assert "requires_capture" not in stripe_shop.intents().values()
    stripe_shop.advance(DAY)
    assert compare_and_process(stripe_shop) == 0


def test_attempt_that_could_not_be_enqueued_is_left_to_the_next_comparison(shop: ShopFixture) -> None:
    stripe_shop = shop_with_orphan(shop)
    stripe_shop.advance(DAY)

    def unreachable(*attempt: object) -> None:
        raise OSError("The queue is away.")

    assert compare_all(stripe_shop.context, stripe_shop.now, unreachable).failed == 1
    stripe_shop.advance(DAY)
    assert compare_and_process(stripe_shop) == 1


def test_attempts_older_than_any_hold_are_left_alone(shop: ShopFixture) -> None:
    stripe_shop = shop_with_orphan(shop)
    stripe_shop.advance(OLDEST_ORPHAN + HOUR)
    assert compare_and_process(stripe_shop) == 0


def test_list_longer_than_its_bound_leaves_the_hold_to_its_event(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message ends: nobody looks for ever for what the account cannot find."""
    stripe_shop = shop_with_orphan(shop, search=False)
    stripe_shop.advance(DAY)
    monkeypatch.setattr(lookup, "MAX_PAGES", 0)
    assert compare_and_process(stripe_shop) == 1
    (intent,) = [name for name, status in stripe_shop.intents().items() if status == "requires_capture"]
    stripe_shop.process_event_of(intent, "payment_intent.amount_capturable_updated")
    assert "requires_capture" not in stripe_shop.intents().values()
