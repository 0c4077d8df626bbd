"""A capture is believed for its state and for the amount received."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.payments import Captured, CaptureFailed, Declined, OutcomeUnknownError
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import API_KEY, Account, Behaviour, InProcessClient
from tests.payments.stripe_requests import MARK, NOW, a_request, authorise, capture, captured_at, gateway_of, statuses


@pytest.mark.parametrize(
    "code", ["payment_intent_unexpected_state", "charge_expired_for_capture", "capture_charge_authorization_expired"]
)
def test_an_expired_hold_is_not_captured(code: Any) -> None:
    account = Account(Behaviour.kind(expired_code=code))
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    account.advance(8 * 86_400)
    assert capture(gateway, provider_id) == CaptureFailed(provider_id, "authorisation_expired")
    assert captured_at(account) == 0


@pytest.mark.parametrize("code", ["payment_intent_unexpected_state", "charge_already_captured"])
def test_a_second_capture_is_done_with_the_amount_received(code: Any) -> None:
    account = Account(Behaviour.kind(captured_code=code))
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    account.console_capture(provider_id, 100)
    captured = capture(gateway, provider_id)
    assert isinstance(captured, Captured)
    assert (captured.amount, captured.refunded) == (100, 0), "the released rest was never received"


@pytest.mark.parametrize("answer", ["processing", "requires_capture"])
def test_a_capture_that_is_not_finished_is_unknown_until_it_is(answer: Any) -> None:
    account = Account(Behaviour.kind(capture_answer=answer))
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    for now in (NOW, NOW + 1):
        with pytest.raises(OutcomeUnknownError):
            gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=now)
    account.advance(20)
    captured = gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW + 20_000)
    assert isinstance(captured, Captured)
    assert (captured.amount, captured_at(account)) == (1_000, 1_000)


@pytest.mark.parametrize("card", ["captureDeclined", "captureFailsLater"])
def test_a_capture_that_the_bank_declines_fails(account: Account, gateway: StripeGateway, card: str) -> None:
    provider_id = authorise(gateway, a_request(f"pm_card_{card}"))
    if card == "captureDeclined":
        assert capture(gateway, provider_id) == CaptureFailed(provider_id, "generic_decline")
    else:
        with pytest.raises(OutcomeUnknownError):
            capture(gateway, provider_id)
    account.advance(60)
    later = gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW + 60_000)
    assert isinstance(later, CaptureFailed)
    assert captured_at(account) == 0


class PartlyAuthorising(InProcessClient):
    """A Stripe whose bank reserves less than is asked: ``reserved`` maps the one to the other, in Stripe's units."""

    reserved = (("1000", "400"), ("500000", "499950"))

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:  # type: ignore[override]
        body, status, answered = super().request(method, url, headers, post_data)
        for asked, part in self.reserved:
            body = body.replace(f'"amount_capturable": {asked},', f'"amount_capturable": {part},')
        return body, status, answered


@pytest.mark.parametrize(("amount", "currency"), [(1_000, "GBP"), (5_000, "ISK")], ids=["a part", "less a fraction"])
def test_a_partial_authorisation_is_declined_and_can_be_voided(account: Account, amount: int, currency: str) -> None:
    gateway = StripeGateway(StripeCalls(fixed_key(API_KEY), http=PartlyAuthorising(account)), MARK)
    declined = gateway.authorise(a_request(amount=amount, currency=currency), now=NOW)
    assert isinstance(declined, Declined)
    assert (declined.code, declined.refused) == ("partially_authorised", False)
    assert declined.provider_id is not None
    assert gateway.void(declined.provider_id, attempt=1, now=NOW)
    assert statuses(account) == ["canceled"]


def test_more_than_was_authorised_is_not_captured(account: Account, gateway: StripeGateway) -> None:
    provider_id = authorise(gateway)
    assert capture(gateway, provider_id, 1_001) == CaptureFailed(provider_id, "amount_too_large")
    assert statuses(account) == ["requires_capture"]


@pytest.mark.parametrize(("received", "amount"), [(499_950, 4_999), (50, 0)])
def test_amount_received_with_a_fraction_of_a_minor_unit_is_not_the_whole(received: int, amount: int) -> None:
    account = Account(Behaviour.kind())
    gateway = gateway_of(account)
    request = a_request(amount=5_000, currency="ISK")
    provider_id = authorise(gateway, request)
    account.console_capture(provider_id, received)
    for captured in (
        gateway.capture(provider_id, attempt=1, amount=5_000, currency="ISK", now=NOW),
        gateway.find(request.purchase_id, request.attempt, now=NOW, provider_id=provider_id),
    ):
        assert isinstance(captured, Captured)
        assert (captured.amount, captured.refunded) == (amount, 0)
