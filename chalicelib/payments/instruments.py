"""Which of a provider's tokens name an instrument, so that the same one is known again."""

from __future__ import annotations

from typing import Final

from chalicelib.payments.sandbox.gateway import SandboxGateway, behaviour_of

_REUSABLE_STRIPE_PREFIXES: Final = ("pm_", "card_")
"""Payment methods, which may come again. A confirmation token is good once and names nothing."""


def reusable_instrument(provider: str, token: str) -> str | None:
    """What a token names; None where the next token for the same instrument is another one, or it names none.

    The sandbox's bare tokens say what it shall do; with a suffix, as ``declined_4242``, they are a card's.
    """
    if provider == SandboxGateway.name:
        return None if token == behaviour_of(token) else token
    return token if token.startswith(_REUSABLE_STRIPE_PREFIXES) else None
