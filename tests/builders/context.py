"""Checkout contexts over real rooms, with one argument for what a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.discounts import Discounts
from chalicelib.payments import Gateway
from chalicelib.pricing import DEFAULT_MARKETS
from chalicelib.purchase import CheckoutContext, PurchaseStore
from chalicelib.risk import NO_LIMITS, FraudRules, Risk
from chalicelib.shows import Shows
from chalicelib.stock import Stock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ID_KEY = b"k" * 32


def a_checkout_context(
    dynamodb: DynamoDBClient,
    stock_table: str,
    commerce_table: str,
    gateway: Gateway,
    *,
    fraud_rules: FraudRules = NO_LIMITS,
    **changes: Any,
) -> CheckoutContext:
    """Return a context of one process: the same tables as others, and a memory of its own."""
    stock = Stock(dynamodb, stock_table, commerce_table)
    fields: dict[str, Any] = {
        "purchases": PurchaseStore(dynamodb, commerce_table),
        "shows": Shows(dynamodb, commerce_table, stock, 30),
        "stock": stock,
        "gateway": gateway,
        "markets_at": lambda _: DEFAULT_MARKETS,
        "discounts": Discounts(dynamodb, commerce_table, stock),
        "risk": Risk(dynamodb, commerce_table, stock, fraud_rules),
        "id_key": ID_KEY,
        "order_hold_channels": frozenset(),
        "return_url": "",
    }
    return CheckoutContext(**{**fields, **changes})
