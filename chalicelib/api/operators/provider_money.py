"""Show operators the money of an order as its payment provider has it."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.requests import ApiRequest
from chalicelib.api.responses import Money
from chalicelib.purchase import MoneyState, Purchase, money_at_provider


class ProviderMoneyResponse(TypedDict):
    """The order's money at the payment provider at this moment, with a sentence about it."""

    state: MoneyState
    amount: Money
    refunded: int
    content: str


def provider_money(request: ApiRequest, purchase: Purchase) -> ProviderMoneyResponse:
    """Ask the provider what it has of the order's payments. Calls as :func:`money_at_provider`."""
    money = money_at_provider(request.services.context, purchase, request.now)
    return {
        "state": money.state,
        "amount": {"amount": money.amount, "currency": money.currency},
        "refunded": money.refunded,
        "content": money.sentence(),
    }
