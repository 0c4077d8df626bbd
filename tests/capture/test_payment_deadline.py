"""The deadline of a placed order: paid if its money was captured, else open again with its units held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.capture import payment_deadline, process_attempt, put_on_hold, release_from_hold
from chalicelib.capture.attempt import Failed, Paid
from chalicelib.capture.process_payment import LINE_PERIOD, PAYMENT_PERIOD
from chalicelib.checkout import find_purchase
from chalicelib.instants import HOUR, MINUTE, SECOND
from chalicelib.payments import Authorised, NotCertainError, OutcomeUnknownError
from chalicelib.payments.stripe import lookup
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState
from chalicelib.recovery import recover_lost_orders
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture
from tests.builders.stripe_shop import MINUTES_TO_CERTAINTY, StripeShop, a_stripe_shop
from tests.doubles.stripe import faults

TIMED_OUT = Failed("payment_timed_out")


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    shop.put_drop("mug", stock=1)
    return shop


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> StripeShop:
    return a_stripe_shop(shop)


def test_untried_order_waits_in_line_for_two_hours(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    assert process_attempt(shop.context, placed.id, 1, NOW + LINE_PERIOD - 1) == Paid()


def test_untried_order_is_open_again_after_two_hours(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    late = NOW + LINE_PERIOD
    assert process_attempt(shop.context, placed.id, 1, late) == TIMED_OUT
    assert (shop.read(placed.id).state, shop.unit_counts("mug", late)) == (PurchaseState.OPEN, (1, 0, 0))
    assert shop.gateway.find(placed.id, 1, now=late) is None


def test_tried_order_is_open_again_after_a_quarter_of_an_hour(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    authorised_by_a_worker_that_died(shop, placed.id)
    late = NOW + PAYMENT_PERIOD
    assert process_attempt(shop.context, placed.id, 1, late, tried=True) == TIMED_OUT
    assert (shop.read(placed.id).state, shop.unit_counts("mug", late)) == (PurchaseState.OPEN, (0, 1, 0))
    assert not isinstance(shop.gateway.find(placed.id, 1, now=late), Authorised)


def test_tried_order_is_paid_until_its_deadline(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    assert process_attempt(shop.context, placed.id, 1, NOW + PAYMENT_PERIOD - 1, tried=True) == Paid()


def test_order_whose_money_was_captured_is_paid_at_its_deadline(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    provider_id = authorised_by_a_worker_that_died(shop, placed.id)
    shop.gateway.capture(provider_id, attempt=1, amount=placed.totals.total, currency="GBP", now=NOW)
    assert process_attempt(shop.context, placed.id, 1, NOW + HOUR, tried=True) == Paid()
    assert (shop.read(placed.id).state, shop.unit_counts("mug")) == (PurchaseState.PAID, (0, 0, 1))


def authorised_by_a_worker_that_died(shop: ShopFixture, purchase_id: str) -> str:
    """Begin the payment as a worker does that dies before it captures."""

    class DiesBeforeCapture(type(shop.gateway)):  # type: ignore[misc]
        def capture(self, *_: object, **__: object) -> None:
            raise SystemExit

    dying = replace(shop.context, gateway=DiesBeforeCapture(shop.tables.dynamodb, shop.tables.sandbox))
    with pytest.raises(SystemExit):
        process_attempt(dying, purchase_id, 1, NOW)
    found = shop.gateway.find(purchase_id, 1, now=NOW)
    assert isinstance(found, Authorised)
    return found.provider_id


def test_period_of_a_released_order_begins_with_its_release(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    put_on_hold(shop.context, placed.id, "ann", NOW)
    released_at = NOW + 3 * HOUR
    release_from_hold(shop.context, placed.id, "ann", released_at)
    assert process_attempt(shop.context, placed.id, 1, released_at + PAYMENT_PERIOD - 1, tried=True) == Paid()


def test_released_order_is_open_again_a_quarter_of_an_hour_after_its_release(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    put_on_hold(shop.context, placed.id, "ann", NOW)
    released_at = NOW + 3 * HOUR
    release_from_hold(shop.context, placed.id, "ann", released_at)
    assert process_attempt(shop.context, placed.id, 1, released_at + PAYMENT_PERIOD, tried=True) == TIMED_OUT


def test_order_stays_placed_and_is_reported_while_the_provider_is_silent(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(payment_deadline, "count", counted.append)
    placed = stripe_shop.place()
    stripe_shop.account.choose_faults(lambda request, number: faults.closed())
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    stripe_shop.advance(PAYMENT_PERIOD)
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError):
            stripe_shop.process(placed)
        stripe_shop.advance(MINUTE)
    assert (stripe_shop.read(placed).state, counted) == (PurchaseState.PLACED, ["orders_overdue"] * 3)
    stripe_shop.account.choose_faults(None)
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed) == TIMED_OUT
    assert (stripe_shop.read(placed).state, stripe_shop.intents()) == (PurchaseState.OPEN, {})
    assert counted == ["orders_overdue"] * 3 + ["payments_timed_out"]


def test_failure_is_stored_before_the_provider_is_asked_at_the_deadline(stripe_shop: StripeShop) -> None:
    """A worker that reserves the money afterwards sees the failure before it captures."""
    placed = stripe_shop.place()
    stripe_shop.advance(LINE_PERIOD)
    stored: list[str | None] = []

    def look(request: object, number: int) -> None:
        payment = stripe_shop.read(placed).payment
        stored.append(payment.failure if payment is not None else None)

    stripe_shop.account.choose_faults(look)
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    assert set(stored) == {"payment_timed_out"}
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed) == TIMED_OUT


def test_money_reserved_by_a_stored_500_is_voided_at_the_deadline(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place()
    stripe_shop.account.fail_next("payment_intents.create", faults.server_error(after_effect=True, stored=True))
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    stripe_shop.advance(PAYMENT_PERIOD)
    assert stripe_shop.process(placed) == TIMED_OUT
    assert list(stripe_shop.intents().values()) == ["canceled"]
    assert stripe_shop.shop.unit_counts("mug", stripe_shop.now) == (0, 1, 0)


def silent_since_the_capture(stripe_shop: StripeShop) -> Purchase:
    """Lose the answer to a capture, and let the provider be silent for a hundred minutes."""
    placed = stripe_shop.place()
    stripe_shop.account.fail_next("payment_intents.capture", faults.closed(after_effect=True))
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    stripe_shop.account.choose_faults(lambda request, number: faults.closed())
    for _ in range(100):
        stripe_shop.advance(MINUTE)
        with pytest.raises(OutcomeUnknownError):
            stripe_shop.process(placed, tried=True)
    stripe_shop.account.choose_faults(None)
    return placed


@pytest.mark.parametrize("search", [True, False])
def test_captured_order_is_paid_after_a_silence_of_any_length(shop: ShopFixture, *, search: bool) -> None:
    """Also on an account without search: a refused search is never believed."""
    stripe_shop = a_stripe_shop(shop, search=search)
    placed = silent_since_the_capture(stripe_shop)
    assert stripe_shop.process(placed, tried=True) == Paid()
    assert (stripe_shop.read(placed).state, stripe_shop.received()) == (PurchaseState.PAID, placed.totals.total)


def test_event_that_names_a_captured_payment_pays_an_overdue_order(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up alone would stay uncertain: the account has no search, and its list is longer than its bound."""
    monkeypatch.setattr(lookup, "MAX_PAGES", 0)
    counted: list[str] = []
    monkeypatch.setattr(payment_deadline, "count", counted.append)
    stripe_shop = a_stripe_shop(shop, search=False)
    placed = silent_since_the_capture(stripe_shop)
    with pytest.raises(NotCertainError):
        stripe_shop.process(placed, tried=True)
    (intent,) = stripe_shop.intents()
    assert stripe_shop.process_event_of(intent, "payment_intent.succeeded") == Paid()
    assert stripe_shop.read(placed).state is PurchaseState.PAID
    assert "payments_timed_out" not in counted


def test_recovery_enqueues_an_overdue_order_and_the_worker_ends_it(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    late = NOW + 3 * HOUR
    enqueued: list[tuple[str, int]] = []
    recover_lost_orders(shop.context, lambda *message: enqueued.append(message), late)
    for purchase_id, attempt in enqueued:
        process_attempt(shop.context, purchase_id, attempt, late)
    assert shop.read(placed.id).state is PurchaseState.OPEN


def test_buyer_learns_that_nothing_was_charged_and_can_try_again(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    late = NOW + LINE_PERIOD
    process_attempt(shop.context, placed.id, 1, late)
    answer = find_purchase(shop.context, placed.id, late + SECOND)
    assert isinstance(answer, CheckoutResult)
    message = answer.messages[0]
    assert (answer.ucp_status, message.code, message.extra) == (
        "ready_for_complete",
        "payment_failed",
        {"reason": "payment_timed_out"},
    )
    assert "nothing was charged" in message.content
