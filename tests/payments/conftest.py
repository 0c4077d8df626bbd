from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.payments.stripe.gateway import StripeGateway, stripe_client
from tests.fakes.stripe.fake_stripe import FakeStripe
from tests.fakes.stripe.server import serve


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def gateway(stripe: FakeStripe) -> Iterator[StripeGateway]:
    with serve(stripe) as address:
        yield StripeGateway(stripe_client("sk_test_1", address))
