"""The Stripe gateway with the unmodified SDK, against a double of Stripe: one intent for each attempt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from chalicelib.instants import HOUR
from chalicelib.payments import ActionRequired, Authorised, Captured, CaptureFailed, Declined, stripe_gateway
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import API_KEY, Account, Behaviour
from tests.doubles.stripe.http_server import serve
from tests.payments.stripe_requests import (
    DECLINED,
    INSUFFICIENT_FUNDS,
    MARK,
    NOW,
    REQUIRES_ACTION,
    VISA,
    a_captured_payment,
    a_request,
    authorise,
    capture,
    captured_at,
    statuses,
)

PAGE = "https://shop.example/done"


def gateway_at(address: str) -> StripeGateway:
    return StripeGateway(StripeCalls(fixed_key(API_KEY), address), MARK)


@pytest.mark.parametrize("token", [VISA, "pm_card_mastercard_7", "ctoken_visa"])
def test_a_payment_is_made_by_two_calls(account: Account, gateway: StripeGateway, token: str) -> None:
    provider_id = authorise(gateway, a_request(token))
    assert captured_at(account) == 0
    captured = capture(gateway, provider_id)
    assert isinstance(captured, Captured)
    assert (captured.provider_id, captured.amount, captured.refunded) == (provider_id, 1_000, 0)
    assert account.operations() == ["payment_intents.create", "payment_intents.capture"]
    intent = account.get(provider_id)
    assert intent["metadata"] == {"show": "s1", "livedrop": MARK, "purchase": "p1", "attempt": "1"}
    assert captured.charge_id == intent["latest_charge"]
    account.check_balance()


def test_the_gateway_works_over_http() -> None:
    account = Account(Behaviour.kind())
    with serve(account) as address:
        assert isinstance(stripe_gateway(lambda: API_KEY, lambda: API_KEY, MARK, address), StripeGateway)
        provider_id = a_captured_payment(gateway_at(address))
    assert statuses(account) == ["succeeded"]
    assert account.get(provider_id)["amount_received"] == 1_000


def test_a_repeated_attempt_finds_the_first_as_it_is(account: Account, gateway: StripeGateway) -> None:
    provider_id = authorise(gateway)
    assert gateway.authorise(a_request(), now=NOW) == Authorised(provider_id, already_existed=True)
    gateway.void(provider_id, attempt=1, now=NOW)
    assert gateway.authorise(a_request(), now=NOW) == Declined(provider_id, "voided")
    assert len(account.records("payment_intent")) == 1


def test_captured_money_is_found_by_a_repeat_of_the_attempt(account: Account, gateway: StripeGateway) -> None:
    provider_id = a_captured_payment(gateway)
    assert gateway.authorise(a_request(), now=NOW) == Authorised(provider_id, already_existed=True)
    again = capture(gateway, provider_id)
    assert isinstance(again, Captured)
    assert (again.amount, captured_at(account)) == (1_000, 1_000)


def test_a_second_attempt_makes_an_intent_of_its_own(account: Account, gateway: StripeGateway) -> None:
    declined = gateway.authorise(a_request(DECLINED), now=NOW)
    assert isinstance(declined, Declined)
    second = authorise(gateway, a_request(attempt=2))
    assert second != declined.provider_id
    assert [one["metadata"]["attempt"] for one in account.records("payment_intent")] == ["1", "2"]
    assert account.operations() == ["payment_intents.create"] * 2


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (DECLINED, "generic_decline"),
        (INSUFFICIENT_FUNDS, "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ],
)
def test_a_declined_card_is_declined_again_with_its_code(
    account: Account, gateway: StripeGateway, token: str, code: str
) -> None:
    declined = [gateway.authorise(a_request(token), now=NOW) for _ in range(2)]
    name = account.records("payment_intent")[0]["id"]
    assert declined == [Declined(name, code)] * 2
    assert gateway.find("p1", 1, now=NOW) == Declined(name, code)


@pytest.mark.parametrize("token", ["tok_visa", "pm_card_unheardOf", "ctoken_", ""])
def test_a_malformed_token_is_declined(account: Account, gateway: StripeGateway, token: str) -> None:
    assert gateway.authorise(a_request(token), now=NOW) == Declined(None, "invalid_token")
    assert account.records("payment_intent") == []


def test_each_call_that_moves_money_has_a_key_of_its_own(account: Account, gateway: StripeGateway) -> None:
    provider_id = a_captured_payment(gateway)
    gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW)
    gateway.void(authorise(gateway, a_request(attempt=2)), attempt=2, now=NOW)
    authorise(gateway, a_request(attempt=3, tries=1))
    second = account.records("payment_intent")[1]["id"]
    assert set(account.state.stored) == {
        "p1:1:create",
        f"{provider_id}:1:capture:{NOW}",
        f"{provider_id}:refund:r1",
        "p1:2:create",
        f"{second}:2:cancel:{NOW}",
        "p1:3:create:2",
    }


def test_an_attempt_past_the_idempotency_window_is_looked_up_and_never_begun(
    account: Account, gateway: StripeGateway
) -> None:
    """Stripe forgets a key after 24 hours. A creation would then make a second payment."""
    provider_id = authorise(gateway)
    account.advance(24 * 3_600)
    late = NOW + 24 * HOUR
    assert gateway.authorise(a_request(), now=late) == Authorised(provider_id, already_existed=True)
    assert gateway.authorise(a_request(attempt=2), now=late) == Declined(None, "attempt_expired")
    assert len(account.records("payment_intent")) == 1


def test_a_voided_intent_stays_voided(account: Account, gateway: StripeGateway) -> None:
    provider_id = authorise(gateway)
    assert gateway.void(provider_id, attempt=1, now=NOW)
    assert gateway.void(provider_id, attempt=1, now=NOW)
    assert capture(gateway, provider_id) == CaptureFailed(provider_id, "voided")
    assert gateway.find("p1", 1, now=NOW) == Declined(provider_id, "voided")
    assert statuses(account) == ["canceled"]


@pytest.mark.parametrize("edited", [{"attempt": "7"}, {"livedrop": "", "purchase": "", "attempt": ""}])
def test_payment_named_by_its_id_is_found_captured_and_voided_though_staff_edited_its_metadata(
    account: Account, gateway: StripeGateway, edited: dict[str, str]
) -> None:
    kept, taken = authorise(gateway), authorise(gateway, a_request(purchase_id="p2"))
    for provider_id in (kept, taken):
        account.client().v1.payment_intents.update(provider_id, {"metadata": edited})
    assert gateway.find("p1", 1, now=NOW, provider_id=kept) == Authorised(kept, already_existed=True)
    assert gateway.void(kept, attempt=1, now=NOW)
    captured = capture(gateway, taken)
    assert (captured, statuses(account)) == (
        gateway.find("p2", 1, now=NOW, provider_id=taken),
        ["canceled", "succeeded"],
    )


def test_captured_money_is_not_voided(account: Account, gateway: StripeGateway) -> None:
    provider_id = a_captured_payment(gateway)
    assert not gateway.void(provider_id, attempt=1, now=NOW)
    assert captured_at(account) == 1_000


def test_a_card_that_requires_authentication_returns_its_page(account: Account, gateway: StripeGateway) -> None:
    request = replace(a_request(REQUIRES_ACTION), return_url=PAGE)
    asked = gateway.authorise(request, now=NOW)
    assert isinstance(asked, ActionRequired)
    page = account.get(asked.provider_id)["next_action"]["redirect_to_url"]
    assert (page["url"], page["return_url"]) == (asked.url, PAGE)
    assert gateway.find("p1", 1, now=NOW, provider_id=asked.provider_id) == asked


def test_a_card_that_authenticates_in_the_storefront_has_no_page(gateway: StripeGateway) -> None:
    asked = gateway.authorise(a_request("ctoken_authenticationRequired"), now=NOW)
    assert isinstance(asked, ActionRequired)
    assert asked.url is None


def test_an_authenticated_intent_is_found_and_captured_once(account: Account, gateway: StripeGateway) -> None:
    asked = gateway.authorise(replace(a_request(REQUIRES_ACTION), return_url=PAGE), now=NOW)
    assert isinstance(asked, ActionRequired)
    account.authenticate(asked.provider_id)
    found = gateway.find("p1", 1, now=NOW, provider_id=asked.provider_id)
    assert found == Authorised(asked.provider_id, already_existed=True)
    assert isinstance(capture(gateway, asked.provider_id), Captured)
    assert captured_at(account) == 1_000


def test_a_failed_authentication_is_declined_and_a_pending_one_is_voided(
    account: Account, gateway: StripeGateway
) -> None:
    request = replace(a_request(REQUIRES_ACTION), return_url=PAGE)
    asked = gateway.authorise(request, now=NOW)
    assert isinstance(asked, ActionRequired)
    account.authenticate(asked.provider_id, succeeded=False)
    declined = gateway.find("p1", 1, now=NOW, provider_id=asked.provider_id)
    assert declined == Declined(asked.provider_id, "payment_intent_authentication_failure")
    second = gateway.authorise(replace(request, attempt=2), now=NOW)
    assert isinstance(second, ActionRequired)
    assert gateway.void(second.provider_id, attempt=2, now=NOW)
    assert statuses(account) == ["requires_payment_method", "canceled"]


def test_a_step_up_asks_any_card_for_authentication(gateway: StripeGateway) -> None:
    request = replace(a_request(VISA), step_up=True, return_url=PAGE)
    assert isinstance(gateway.authorise(request, now=NOW), ActionRequired)


def test_workers_of_one_attempt_at_once_capture_once(account: Account) -> None:
    def work(gateway: StripeGateway) -> object:
        captured = gateway.capture(authorise(gateway), attempt=1, amount=1_000, currency="GBP", now=NOW)
        return replace(captured, charge_id="") if isinstance(captured, Captured) else captured

    with serve(account) as address, ThreadPoolExecutor(8) as pool:
        gateways = [gateway_at(address) for _ in range(16)]
        answers = set(pool.map(work, gateways))
    (intent,) = account.records("payment_intent")
    assert answers == {Captured(intent["id"], "", 1_000)}
    assert captured_at(account) == 1_000


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [(5_000, "ISK", 500_000), (500, "MGA", 5), (12_340, "KWD", 12_340), (50, "JPY", 50)],
)
def test_an_amount_is_sent_and_read_in_stripes_units(
    account: Account, gateway: StripeGateway, amount: int, currency: str, units: int
) -> None:
    account.state.rates[currency.lower()] = "1"
    provider_id = authorise(gateway, a_request(amount=amount, currency=currency))
    assert account.get(provider_id)["amount"] == units
    captured = gateway.capture(provider_id, attempt=1, amount=amount, currency=currency, now=NOW)
    assert isinstance(captured, Captured)
    assert (captured.amount, captured_at(account)) == (amount, units)


def test_a_currency_that_stripe_cannot_express_is_refused_without_a_call(
    account: Account, gateway: StripeGateway
) -> None:
    refused = Declined(None, "currency_not_supported", refused=True)
    assert gateway.authorise(a_request(currency="ZZZ"), now=NOW) == refused
    assert gateway.authorise(a_request(amount=1_001, currency="KWD"), now=NOW) == refused
    assert account.operations() == []
