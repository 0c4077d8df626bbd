from __future__ import annotations

import pytest
import stripe

from tests.doubles.stripe import Account


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def client(account: Account) -> stripe.StripeClient:
    return account.client()
