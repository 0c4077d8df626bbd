"""Import Stripe's SDK only when it is used, because the import takes much of a function's cold start."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.instants import Instant
from chalicelib.payments.gateway import Gateway


def stripe_gateway(api_key: str, base_url: str | None = None) -> Gateway:
    """Return Stripe as a gateway. ``base_url``: the address of a fake in place of Stripe's own."""
    from chalicelib.payments.stripe.gateway import StripeGateway, stripe_client

    return StripeGateway(stripe_client(api_key, base_url))


def is_signed_by_stripe(body: bytes, header: str, secrets: Iterable[str], now: Instant) -> bool:
    """Return whether one of the secrets signed this webhook less than five minutes ago."""
    from chalicelib.payments.stripe.webhooks import is_signed

    return is_signed(body, header, secrets, now)
