"""The Stripe gateway with the unmodified SDK, against a server that behaves as Stripe's."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from chalicelib.payments import (
    ActionRequired,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    OutcomeUnknownError,
    ProviderRefund,
    Refunded,
)
from chalicelib.payments.stripe.gateway import SEARCH_LAG, StripeGateway
from tests.fakes.stripe.fake_stripe import FakeStripe
from tests.payments.stripe_requests import (
    DECLINED,
    INSUFFICIENT_FUNDS,
    NOW,
    REQUIRES_ACTION,
    VISA,
    a_request,
    authorise,
    capture,
)


@pytest.mark.parametrize("token", [VISA, "ctoken_visa"])
def test_a_payment_is_authorised_and_captured_once(gateway: StripeGateway, stripe: FakeStripe, token: str) -> None:
    provider_id = authorise(gateway, a_request(token))
    assert stripe.net_captured == 0
    answers = [gateway.capture(provider_id, attempt=1, amount=1_000, now=NOW) for _ in range(2)]
    assert answers[0] == answers[1] == Captured(provider_id, "ch_3", 35)
    assert stripe.net_captured == 1_000
    (intent,) = stripe.intents.values()
    assert intent["metadata"] == {"show": "s1", "purchase": "p1", "attempt": "1"}
    assert intent["currency"] == "gbp"


def test_a_repeated_authorisation_finds_the_first(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = authorise(gateway)
    assert gateway.authorise(a_request(), now=NOW) == Authorised(provider_id, already_existed=True)
    assert gateway.find("p1", 1, now=NOW) == Authorised(provider_id, already_existed=True)
    assert gateway.find("p1", 2, now=NOW) is None
    assert len(stripe.intents) == 1


def test_a_search_that_finds_nothing_is_believed_only_past_its_lag(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = authorise(gateway)
    stripe.search_index = {}
    assert gateway.find("p1", 1, now=NOW) is None
    with pytest.raises(OutcomeUnknownError):
        gateway.find("p1", 1, now=NOW + SEARCH_LAG - 1, since=NOW)
    assert gateway.find("p1", 1, now=NOW + SEARCH_LAG, since=NOW) is None
    assert gateway.find("p1", 1, now=NOW, since=NOW, provider_id=provider_id) == Authorised(
        provider_id, already_existed=True
    )


def test_an_intent_found_by_search_is_read_again(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = authorise(gateway)
    stripe.search_index = deepcopy(stripe.intents)
    gateway.void(provider_id, attempt=1, now=NOW)
    assert gateway.find("p1", 1, now=NOW) == Declined(provider_id, "voided")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (DECLINED, "generic_decline"),
        (INSUFFICIENT_FUNDS, "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ],
)
def test_a_declined_card_is_declined_again_with_its_code(gateway: StripeGateway, token: str, code: str) -> None:
    declined = [gateway.authorise(a_request(token), now=NOW) for _ in range(2)]
    assert declined == [Declined("pi_1", code)] * 2
    assert gateway.find("p1", 1, now=NOW) == Declined("pi_1", code)


@pytest.mark.parametrize("token", ["tok_visa", "pm_card_unheardOf", "ctoken_", ""])
def test_a_malformed_token_is_declined(gateway: StripeGateway, stripe: FakeStripe, token: str) -> None:
    assert gateway.authorise(a_request(token), now=NOW) == Declined(None, "invalid_token")
    assert stripe.intents == {}


def test_a_second_attempt_confirms_the_same_intent(gateway: StripeGateway, stripe: FakeStripe) -> None:
    declined = gateway.authorise(a_request(DECLINED), now=NOW)
    assert isinstance(declined, Declined)
    second = a_request(VISA, attempt=2, provider_id=declined.provider_id, amount=1_200)
    assert gateway.authorise(second, now=NOW) == Authorised("pi_1")
    assert gateway.authorise(second, now=NOW) == Authorised("pi_1", already_existed=True)
    assert gateway.capture("pi_1", attempt=1, amount=1_000, now=NOW) == CaptureFailed("pi_1", "wrong_attempt")
    assert isinstance(gateway.capture("pi_1", attempt=2, amount=1_200, now=NOW), Captured)
    assert (len(stripe.intents), stripe.net_captured) == (1, 1_200)


def test_a_captured_purchase_accepts_no_other_attempt(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = capture(gateway)
    with pytest.raises(ValueError, match="earlier attempt"):
        gateway.authorise(a_request(attempt=2, provider_id=provider_id), now=NOW)
    assert (len(stripe.intents), stripe.net_captured) == (1, 1_000)


def test_a_voided_intent_is_replaced(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = authorise(gateway)
    assert gateway.void(provider_id, attempt=1, now=NOW)
    assert gateway.void(provider_id, attempt=1, now=NOW)
    assert gateway.capture(provider_id, attempt=1, amount=1_000, now=NOW) == CaptureFailed(provider_id, "voided")
    assert gateway.find("p1", 1, now=NOW) == Declined(provider_id, "voided")
    second = authorise(gateway, a_request(attempt=2, provider_id=provider_id))
    assert second != provider_id
    assert [one["status"] for one in stripe.intents.values()] == ["canceled", "requires_capture"]


def test_another_attempts_authorisation_is_neither_captured_nor_voided_but_replaced(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    first = authorise(gateway)
    with pytest.raises(ValueError, match="attempt 2"):
        gateway.void(first, attempt=2, now=NOW)
    assert gateway.capture(first, attempt=2, amount=1_000, now=NOW) == CaptureFailed(first, "wrong_attempt")
    second = authorise(gateway, a_request(attempt=2, provider_id=first))
    assert [one["status"] for one in stripe.intents.values()] == ["canceled", "requires_capture"]
    assert isinstance(gateway.capture(second, attempt=2, amount=1_000, now=NOW), Captured)


def test_a_captured_intent_is_not_voided(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = capture(gateway)
    assert not gateway.void(provider_id, attempt=1, now=NOW)
    assert gateway.find("p1", 1, now=NOW) == Captured(provider_id, "ch_3", 35)
    assert gateway.authorise(a_request(), now=NOW) == Authorised(provider_id, already_existed=True)
    assert stripe.net_captured == 1_000


@pytest.mark.parametrize("amount", [999, 1_001])
def test_a_capture_of_another_amount_fails(gateway: StripeGateway, stripe: FakeStripe, amount: int) -> None:
    provider_id = authorise(gateway)
    refused = gateway.capture(provider_id, attempt=1, amount=amount, now=NOW)
    assert refused == CaptureFailed(provider_id, "wrong_amount")
    assert stripe.net_captured == 0


def test_a_card_that_requires_authentication_returns_its_page(gateway: StripeGateway) -> None:
    asked = ActionRequired("pi_1", "https://hooks.stripe.test/pi_1")
    assert gateway.authorise(a_request(REQUIRES_ACTION), now=NOW) == asked
    assert gateway.find("p1", 1, now=NOW, provider_id="pi_1") == asked


CALLS = ("create", "retrieve", "capture", "list refunds", "refund")


@pytest.mark.parametrize("call", range(len(CALLS)), ids=CALLS.__getitem__)
@pytest.mark.parametrize("fault", ["before", "after", "garbage", 429, 503])
def test_a_call_without_answer_has_an_unknown_outcome_and_its_repeat_settles_it(
    gateway: StripeGateway, stripe: FakeStripe, fault: str | int, call: int
) -> None:
    def pay() -> None:
        provider_id = authorise(gateway)
        assert isinstance(gateway.capture(provider_id, attempt=1, amount=1_000, now=NOW), Captured)
        assert isinstance(gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW), Refunded)

    stripe.faults.extend([*[None] * call, fault])
    with pytest.raises(OutcomeUnknownError):
        pay()
    assert len(stripe.requests) == call + 1
    pay()
    assert (len(stripe.intents), len(stripe.refunds), stripe.net_captured) == (1, 1, 600)


def test_payments_are_listed_with_their_status_and_refunds(gateway: StripeGateway, stripe: FakeStripe) -> None:
    paid = capture(gateway)
    refunded = gateway.refund(paid, refund_id="r1", amount=400, now=NOW)
    gateway.authorise(a_request(DECLINED, purchase_id="p2"), now=NOW)
    authorised_id = authorise(gateway, a_request(purchase_id="p3"))
    listed = {one.provider_id: one for one in gateway.payments(0)}
    assert len(listed) == 3
    assert listed[paid].status == Captured(paid, "ch_3", 0)
    assert (listed[paid].purchase_id, listed[paid].attempt, listed[paid].amount) == ("p1", 1, 1_000)
    assert isinstance(refunded, Refunded)
    assert listed[paid].refunds == (ProviderRefund(refunded.provider_refund_id, 400, "r1"),)
    assert listed[authorised_id].status == Authorised(authorised_id, already_existed=True)
    assert [one.purchase_id for one in gateway.payments(10**12)] == []


def test_a_payment_names_its_purchase_and_attempt(gateway: StripeGateway) -> None:
    assert gateway.purchase_of(authorise(gateway)) == ("p1", 1)
    assert gateway.purchase_of("pi_unheard") is None


def test_an_authenticated_intent_is_found_authorised_and_captured_once(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    asked = gateway.authorise(a_request(REQUIRES_ACTION), now=NOW)
    assert isinstance(asked, ActionRequired)
    stripe.complete_challenge(asked.provider_id)
    assert gateway.find("p1", 1, now=NOW, provider_id="pi_1") == Authorised("pi_1", already_existed=True)
    assert isinstance(gateway.capture("pi_1", attempt=1, amount=1_000, now=NOW), Captured)
    assert stripe.net_captured == 1_000


def test_a_failed_authentication_is_declined_and_a_pending_one_can_be_voided(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    gateway.authorise(a_request(REQUIRES_ACTION), now=NOW)
    stripe.complete_challenge("pi_1", succeeded=False)
    declined = gateway.find("p1", 1, now=NOW, provider_id="pi_1")
    assert declined == Declined("pi_1", "payment_intent_authentication_failure")
    second = gateway.authorise(a_request(REQUIRES_ACTION, attempt=2, provider_id="pi_1"), now=NOW)
    assert isinstance(second, ActionRequired)
    assert gateway.void("pi_1", attempt=2, now=NOW)
    assert gateway.find("p1", 2, now=NOW, provider_id="pi_1") == Declined("pi_1", "voided")


def test_a_step_up_requires_authentication_of_any_card(gateway: StripeGateway, stripe: FakeStripe) -> None:
    assert isinstance(gateway.authorise(replace(a_request(VISA), step_up=True), now=NOW), ActionRequired)
    page = "https://shop.example/done"
    gateway.authorise(replace(a_request(REQUIRES_ACTION, purchase_id="p2"), return_url=page), now=NOW)
    assert stripe.intents["pi_3"]["next_action"]["redirect_to_url"]["return_url"] == page


@pytest.mark.parametrize(
    ("amount", "code"), [(0, "amount_too_small"), (29, "amount_too_small"), (10**8, "amount_too_large")]
)
def test_an_amount_outside_stripes_bounds_is_declined(
    gateway: StripeGateway, stripe: FakeStripe, amount: int, code: str
) -> None:
    assert gateway.authorise(a_request(amount=amount), now=NOW) == Declined(None, code)
    assert stripe.intents == {}
