"""A key that Stripe refuses is read again once; no order is refused for it."""

from __future__ import annotations

import pytest

from chalicelib.payments import Authorised, ProviderBusyError
from chalicelib.payments.stripe.calls import ApiKeys, StripeCalls
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import API_KEY, Account, Behaviour, InProcessClient
from tests.payments.stripe_requests import MARK, NOW, a_request, statuses


class SecretStore:
    """A secret that is rotated, and a process that caches it."""

    def __init__(self, stored: str, cached: str) -> None:
        self.stored, self.cached, self.reads = stored, cached, 0

    def reread(self) -> str:
        self.reads += 1
        self.cached = self.stored
        return self.cached

    def gateway(self, account: Account) -> StripeGateway:
        keys = ApiKeys(lambda: self.cached, self.reread)
        return StripeGateway(StripeCalls(keys, http=InProcessClient(account)), MARK)


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind())


def test_a_rotated_key_is_read_again_once_and_the_call_repeated(account: Account) -> None:
    secret = SecretStore(stored=API_KEY, cached="sk_test_revoked")
    gateway = secret.gateway(account)
    for purchase in ("p1", "p2"):
        assert isinstance(gateway.authorise(a_request(purchase_id=purchase), now=NOW), Authorised)
    assert secret.reads == 1
    assert statuses(account) == ["requires_capture"] * 2


@pytest.mark.parametrize("stored", ["sk_test_revoked", "sk_test_also_revoked"])
def test_a_refused_key_makes_every_call_wait_a_minute_and_refuses_no_order(account: Account, stored: str) -> None:
    gateway = SecretStore(stored, cached="sk_test_revoked").gateway(account)
    for call in (
        lambda: gateway.authorise(a_request(), now=NOW),
        lambda: gateway.capture("pi_1", attempt=1, amount=1_000, currency="GBP", now=NOW),
        lambda: gateway.void("pi_1", attempt=1, now=NOW),
        lambda: gateway.find("p1", 1, now=NOW),
        lambda: gateway.purchase_of("pi_1"),
        lambda: gateway.refund("pi_1", refund_id="r1", amount=1, now=NOW),
        lambda: gateway.find_refund("re_1", now=NOW),
        lambda: list(gateway.refunds_of("pi_1", now=NOW)),
        lambda: gateway.find_dispute("dp_1", now=NOW),
        lambda: list(gateway.movements(NOW, NOW + 1_000)),
    ):
        with pytest.raises(ProviderBusyError) as raised:
            call()
        assert raised.value.retry_in_seconds == 60
    account.set_key("sk_test_revoked", "full")
    account.set_key("sk_test_also_revoked", "full")
    assert isinstance(gateway.authorise(a_request(), now=NOW), Authorised)


def test_a_key_without_a_right_makes_the_call_wait(account: Account) -> None:
    account.set_key(API_KEY, {"payment_intents.retrieve"})
    secret = SecretStore(API_KEY, API_KEY)
    with pytest.raises(ProviderBusyError) as raised:
        secret.gateway(account).authorise(a_request(), now=NOW)
    assert (raised.value.retry_in_seconds, secret.reads) == (60, 1)
