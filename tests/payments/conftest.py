from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.payments.stripe import StripeGateway, stripe_client
from tests.payments.stripe_double import FakeStripe
from tests.payments.stripe_server import serve


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def gateway(stripe: FakeStripe) -> Iterator[StripeGateway]:
    with serve(stripe) as address:
        yield StripeGateway(stripe_client("sk_test_1", address))
