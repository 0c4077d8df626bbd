from __future__ import annotations

from chalicelib.purchase import CheckoutResult, NoPurchase


def message_codes(answer: CheckoutResult | NoPurchase) -> list[str]:
    return [message.code for message in answer.messages]
