"""Ways to Stripe that import its SDK only when they are used: it costs a function much of its start."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.instants import Instant
from chalicelib.payments.gateway import Gateway


def stripe_gateway(api_key: str, base_url: str | None = None) -> Gateway:
    """Stripe as a gateway. ``address``: another than Stripe's own, a double."""
    from chalicelib.payments.stripe.gateway import StripeGateway, stripe_client

    return StripeGateway(stripe_client(api_key, base_url))


def is_signed_by_stripe(body: bytes, header: str, secrets: Iterable[str], now: Instant) -> bool:
    """Whether one of the secrets signed this webhook less than five minutes ago."""
    from chalicelib.payments.stripe.webhooks import is_signed

    return is_signed(body, header, secrets, now)
