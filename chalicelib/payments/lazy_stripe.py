"""Import Stripe's SDK only when it is used, because the import takes much of a function's cold start."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chalicelib.instants import Instant
from chalicelib.payments.gateway import Gateway
from chalicelib.payments.pacing import Pacer


def stripe_gateway(
    current_key: Callable[[], str],
    reread_key: Callable[[], str],
    mark: str,
    base_url: str | None = None,
    pacer: Pacer | None = None,
) -> Gateway:
    """Return Stripe as a gateway. ``base_url``: the address of a double in place of Stripe's own.

    ``current_key`` returns the cached API key. ``reread_key`` reads it again, after Stripe refused the cached one.
    ``pacer`` None: calls are not paced.
    """
    from chalicelib.payments.stripe.calls import ApiKeys, StripeCalls
    from chalicelib.payments.stripe.gateway import StripeGateway

    return StripeGateway(StripeCalls(ApiKeys(current_key, reread_key), base_url, pacer=pacer), mark)


def is_signed_by_stripe(body: bytes, header: str, secrets: Iterable[str], now: Instant) -> bool:
    """Return whether one of the secrets signed this webhook less than five minutes ago."""
    from chalicelib.payments.stripe.webhooks import is_signed

    return is_signed(body, header, secrets, now)
