from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.payments.stripe import StripeGateway, stripe_client
from tests.payments.stripe_double import Stripe
from tests.payments.stripe_server import served


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


@pytest.fixture
def gateway(stripe: Stripe) -> Iterator[StripeGateway]:
    with served(stripe) as address:
        yield StripeGateway(stripe_client("sk_test_1", address))
