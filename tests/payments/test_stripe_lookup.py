"""A failure that Stripe stored is looked up before it is asked again; payments of other software are left aside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.instants import HOUR, MINUTE
from chalicelib.payments import Authorised, Captured, CaptureFailed, Declined, NothingBegunError, OutcomeUnknownError
from chalicelib.payments.stripe import lookup
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import Account, Behaviour, faults
from tests.payments.stripe_requests import (
    NOW,
    a_captured_payment,
    a_request,
    authorise,
    capture,
    captured_at,
    gateway_of,
    statuses,
)

CREATE, CAPTURE, REFUND = "payment_intents.create", "payment_intents.capture", "refunds.create"


@pytest.fixture
def account() -> Account:
    """An account whose search is a minute behind, as a live one's."""
    return Account(replace(Behaviour.kind(), search_lag=MINUTE))


def test_a_stored_500_of_a_capture_that_took_the_money_is_captured(account: Account, gateway: StripeGateway) -> None:
    provider_id = authorise(gateway)
    account.fail_next(CAPTURE, faults.server_error(after_effect=True, stored=True))
    captured = capture(gateway, provider_id)
    assert isinstance(captured, Captured)
    assert (captured.amount, captured_at(account)) == (1_000, 1_000)


def test_a_stored_500_of_a_capture_without_effect_is_no_obstacle_to_the_next_try(
    account: Account, gateway: StripeGateway
) -> None:
    provider_id = authorise(gateway)
    account.fail_next(CAPTURE, faults.server_error(stored=True))
    with pytest.raises(OutcomeUnknownError):
        capture(gateway, provider_id)
    later = gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW + MINUTE)
    assert isinstance(later, Captured)
    assert captured_at(account) == 1_000


def test_a_stored_500_of_a_creation_that_had_its_effect_is_found_in_spite_of_the_searchs_lag(
    account: Account, gateway: StripeGateway
) -> None:
    account.fail_next(CREATE, faults.server_error(after_effect=True, stored=True))
    with pytest.raises(OutcomeUnknownError) as raised:
        gateway.authorise(a_request("ctoken_visa_1"), now=NOW)
    assert not isinstance(raised.value, NothingBegunError), "the first answer may still become an effect"
    found = gateway.authorise(a_request("ctoken_visa_1"), now=NOW)
    (intent,) = account.records("payment_intent")
    assert found == Authorised(intent["id"], already_existed=True)


def test_a_stored_500_of_a_creation_without_effect_is_begun_again_under_a_second_key(
    account: Account, gateway: StripeGateway
) -> None:
    account.fail_next(CREATE, faults.server_error(stored=True))
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request("ctoken_visa_1"), now=NOW)
    for _ in range(2):
        with pytest.raises(NothingBegunError):
            gateway.authorise(a_request("ctoken_visa_1"), now=NOW)
    provider_id = authorise(gateway, a_request("ctoken_visa_1", tries=1))
    assert isinstance(capture(gateway, provider_id), Captured)
    assert (len(account.records("payment_intent")), captured_at(account)) == (1, 1_000)


def test_a_stored_500_of_a_refund_is_looked_up_and_refunds_once(account: Account, gateway: StripeGateway) -> None:
    for number, after_effect in enumerate((True, False), 1):
        provider_id = a_captured_payment(gateway, a_request(attempt=number))
        account.fail_next(REFUND, faults.server_error(after_effect=after_effect, stored=True))
        with pytest.raises(OutcomeUnknownError):
            gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW)
        made = [gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW) for _ in range(2)]
        assert made[0] == made[1]
    assert [one["amount"] for one in account.records("refund")] == [400, 400]


def test_a_search_that_finds_nothing_is_believed_only_after_the_list_or_an_hour(account: Account) -> None:
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    found = Authorised(provider_id, already_existed=True)
    assert gateway.find("p1", 1, now=NOW) is None, "too early"
    with pytest.raises(OutcomeUnknownError):
        gateway.find("p1", 1, now=NOW + HOUR - 1, since=NOW)
    assert gateway.find("p1", 1, now=NOW, began_at=NOW) == found
    assert gateway.find("p1", 1, now=NOW, provider_id=provider_id, since=NOW) == found
    assert gateway.find("p2", 1, now=NOW, since=NOW, began_at=NOW) is None, "the list never lags"
    assert gateway.find("p2", 1, now=NOW + HOUR, since=NOW) is None
    with pytest.raises(OutcomeUnknownError):
        gateway.find("p2", 1, now=NOW, since=NOW + MINUTE, began_at=NOW)
    account.advance(61)
    assert gateway.find("p1", 1, now=NOW + 61_000) == found


def test_an_intent_that_the_search_finds_is_read_again(account: Account) -> None:
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    account.advance(90)
    account.console_cancel(provider_id)
    assert gateway.find("p1", 1, now=NOW) == Declined(provider_id, "voided")


def test_a_list_longer_than_its_bound_leaves_the_outcome_unknown(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "PAGE_SIZE", 2)
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    for number in range(2 * lookup.MAX_PAGES - 1):
        authorise(gateway, a_request(purchase_id=f"q{number}"))
    assert gateway.find("p1", 1, now=NOW, began_at=NOW) == Authorised(provider_id, already_existed=True)
    authorise(gateway, a_request(purchase_id="one-more"))
    with pytest.raises(OutcomeUnknownError, match="Too many"):
        gateway.find("p1", 1, now=NOW, since=NOW, began_at=NOW)
    assert gateway.find("p1", 1, now=NOW, began_at=NOW) is None, "nobody asked for certainty"
    account.advance(3_601)
    found = gateway.find("p1", 1, now=NOW + HOUR, since=NOW, began_at=NOW)
    assert found == Authorised(provider_id, already_existed=True)


def test_of_two_intents_of_an_attempt_the_captured_one_counts_and_the_other_is_voided(account: Account) -> None:
    gateway = gateway_of(account)
    first, second = authorise(gateway), authorise(gateway, a_request(tries=1))
    assert gateway.find("p1", 1, now=NOW, began_at=NOW) == Authorised(first, already_existed=True)
    assert statuses(account) == ["requires_capture", "canceled"]
    third = authorise(gateway, a_request(tries=2))
    assert isinstance(capture(gateway, third), Captured)
    found = gateway.find("p1", 1, now=NOW, began_at=NOW)
    assert isinstance(found, Captured)
    assert found.provider_id == third
    assert statuses(account) == ["canceled", "canceled", "succeeded"]
    assert capture(gateway, second) == CaptureFailed(second, "voided")


def test_a_payment_of_other_software_is_never_ours_and_never_an_error(account: Account, gateway: StripeGateway) -> None:
    own = a_captured_payment(gateway)
    foreign = [
        account.foreign_payment(metadata=metadata)["id"]
        for metadata in (
            {"attempt": "first", "purchase": "p1"},
            {"attempt": "1", "purchase": "p1"},
            {"livedrop": "other-shop", "attempt": "1", "purchase": "p1"},
            {"livedrop": "livedrop", "attempt": "first", "purchase": "p1"},
            {"livedrop": "livedrop", "attempt": "²", "purchase": "p1"},
            {"livedrop": "livedrop", "attempt": "1"},
            {},
        )
    ]
    account.advance(61)
    assert gateway.purchase_of(own) == ("p1", 1)
    assert [gateway.purchase_of(name) for name in [*foreign, "pi_unheard"]] == [None] * 8
    found = gateway.find("p1", 1, now=NOW)
    assert isinstance(found, Captured)
    assert found.provider_id == own


def test_two_shops_share_an_account_by_their_marks(account: Account) -> None:
    shop, other = gateway_of(account, "shop-a"), gateway_of(account, "shop-b")
    authorise(shop)
    account.advance(61)
    assert other.find("p1", 1, now=NOW, began_at=NOW) is None
    assert isinstance(shop.find("p1", 1, now=NOW), Authorised)
