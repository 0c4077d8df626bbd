"""Recognise a payment instrument by its token, so that declines of one instrument can be counted."""

from __future__ import annotations

from typing import Final

from chalicelib.payments.sandbox.gateway import SandboxGateway, behaviour_of

_REUSABLE_STRIPE_PREFIXES: Final = ("pm_", "card_")
"""Payment methods, which a client may use again. A confirmation token is valid once and names no instrument."""


def reusable_instrument(provider: str, token: str) -> str | None:
    """Return the token if it names an instrument; None if the next token for the same instrument may differ.

    A sandbox token without a suffix only chooses a behaviour; one with a suffix, as ``declined_4242``, names a card.
    """
    if provider == SandboxGateway.name:
        return None if token == behaviour_of(token) else token
    return token if token.startswith(_REUSABLE_STRIPE_PREFIXES) else None
