"""The switches of the double for guesses about Stripe, with every value that each may have."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

GUESSES: Final[Mapping[str, tuple[Any, ...]]] = {
    "void_sends_refund_created": (True, False),
    "failed_proof_type": ("invalid_request_error", "card_error"),
    "used_token_param": ("confirmation_token", None),
    "used_payment_method_message": ("2023", "2026"),
    "over_refund_code": (None, "amount_too_large"),
    "declined_payment_method_is_used": (True, False),
    "refunds_need_balance": (True, False),
    "max_confirms": (1, 20),
    "expired_code": (
        "payment_intent_unexpected_state",
        "charge_expired_for_capture",
        "capture_charge_authorization_expired",
    ),
    "captured_code": ("payment_intent_unexpected_state", "charge_already_captured"),
    "capture_answer": ("succeeded", "processing", "requires_capture"),
}


def drawn_guesses(random: Random) -> dict[str, Any]:
    """Return one value of each switch.

    Refunds never wait for the balance: it lacks the fee of the very payment, so that each would wait for two weeks.
    """
    return {name: random.choice(values) for name, values in GUESSES.items()} | {"refunds_need_balance": False}
