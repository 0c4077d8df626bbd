"""Refuse a currency that the payment provider cannot charge, before anything is sold in it."""

from __future__ import annotations

from chalicelib.api.requests import ApiRequest
from chalicelib.currencies import CURRENCIES, highest_amount
from chalicelib.errors import BadInput


def check_currency(request: ApiRequest, currency: str, field: str) -> None:
    """Check that the provider charges a currency. The provider is asked about the highest price; no call leaves.

    Raises: ``BadInput`` naming the field.
    """
    if currency not in CURRENCIES:
        problem: str | None = f"{currency} is no currency of ISO 4217."
    else:
        problem = request.services.context.gateway.amount_problem(highest_amount(currency), currency)
    if problem is not None:
        detail = f"`{field}` must be a currency that the payment provider charges. {problem}"
        raise BadInput(detail, field=field, code="unsupported_currency")
