"""Verify the signatures of Stripe's webhooks with its SDK."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import stripe

from chalicelib.instants import SECOND, Instant

MAX_SIGNATURE_AGE_SECONDS: Final = 300
"""How old a webhook's signature may be."""


def is_signed(body: bytes, header: str, secrets: Iterable[str], now: Instant) -> bool:
    """Return whether one of the secrets signed this webhook less than five minutes ago.

    ``now`` decides about the age and the SDK about the signature, without the SDK's own clock
    (https://docs.stripe.com/webhooks/signature). A header with two timestamps is refused, because the SDK might verify
    the other one.
    """
    timestamps = [item[2:] for item in header.split(",") if item.startswith("t=")]
    if len(timestamps) != 1 or not re.fullmatch(r"[0-9]{1,12}", timestamps[0]):
        return False
    if abs(now // SECOND - int(timestamps[0])) > MAX_SIGNATURE_AGE_SECONDS:
        return False
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret)
        except (stripe.SignatureVerificationError, ValueError):  # ValueError: the body is not UTF-8
            continue
        return True
    return False
