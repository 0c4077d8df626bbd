from __future__ import annotations

import pytest

from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import Account, Behaviour
from tests.payments.stripe_requests import gateway_of


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind())


@pytest.fixture
def gateway(account: Account) -> StripeGateway:
    return gateway_of(account)
