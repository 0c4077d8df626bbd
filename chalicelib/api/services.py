"""The packages that views use. The entry point composes them once a process."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.api.buyers.in_line import OrderLine
from chalicelib.api.deployment_keys import DeploymentKeys, Keyring
from chalicelib.finance import Exports
from chalicelib.payments import ProviderKeys
from chalicelib.pricing import MarketRevisions
from chalicelib.purchase import CheckoutContext, EnqueueCapture
from chalicelib.settings import Settings
from chalicelib.shows import Shows
from chalicelib.stock import Stock


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Packages, settings and keys that views use."""

    settings: Settings
    deployment_keys: DeploymentKeys
    shows: Shows
    stock: Stock
    context: CheckoutContext
    exports: Exports
    enqueue_capture: EnqueueCapture
    provider_keys: Keyring[ProviderKeys]
    market_table: MarketRevisions
    order_line: OrderLine | None = None
    """The line of placed orders before a provider that limits its calls; None: orders wait for nobody."""
