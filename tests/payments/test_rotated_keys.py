"""A warm process of the deployment pays on after the provider's key was rotated and the old one revoked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.instants import SECOND
from chalicelib.payments import Authorised, ProviderBusyError
from chalicelib.payments.stripe.calls import ApiKeys, StripeCalls
from chalicelib.payments.stripe.errors import Call
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.conftest import Tables
from tests.doubles.stripe import API_KEY, Account, Behaviour
from tests.doubles.stripe.in_process import InProcessClient
from tests.payments.stripe_process import store_key, stripe_process
from tests.payments.stripe_requests import MARK, NOW, a_request

NEW_KEY = "sk_test_2"


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind(), api_keys=(API_KEY, NEW_KEY))


@pytest.fixture
def process(tables: Tables, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with stripe_process(tables, account, monkeypatch, PROVIDER_RATE="0") as app:
        yield app


def test_a_warm_process_uses_the_new_key_at_the_first_refusal(
    process: Any, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = NOW
    monkeypatch.setattr(process, "clock", lambda: present)
    gateway = process.gateway()
    assert isinstance(gateway.authorise(a_request(), now=NOW), Authorised)
    store_key(NEW_KEY)
    account.set_key(API_KEY, None)
    with pytest.raises(ProviderBusyError) as busy:
        gateway.authorise(a_request(attempt=2), now=NOW)
    assert busy.value.retry_in_seconds == 60, "the key was read less than ten seconds ago"
    present += 11 * SECOND
    assert isinstance(gateway.authorise(a_request(attempt=2), now=NOW), Authorised)


class NotingPacer:
    """A pacer that notes the turns and refuses none."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    def await_turn(self, endpoint: str) -> None:
        self.turns.append(endpoint)


def test_second_call_with_a_new_key_takes_a_turn_of_its_own(account: Account) -> None:
    pacer = NotingPacer()
    account.set_key(API_KEY, None)
    keys = ApiKeys(lambda: API_KEY, lambda: NEW_KEY)
    gateway = StripeGateway(StripeCalls(keys, http=InProcessClient(account), pacer=pacer), MARK)
    assert isinstance(gateway.authorise(a_request(), now=NOW), Authorised)
    assert pacer.turns == [Call.CREATE_INTENT.value] * 2
