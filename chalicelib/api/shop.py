"""The rooms that HTTP calls lead to, composed once a process by the entry point."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.api.secrets import DeploymentKeys, Keyring
from chalicelib.checkout import Checkout, EnqueueCapture, MarketTable
from chalicelib.finance import Exports
from chalicelib.payments import ProviderKeys
from chalicelib.settings import Settings
from chalicelib.shows import Shows
from chalicelib.stock import Stock


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a call may use."""

    settings: Settings
    deployment_keys: DeploymentKeys
    shows: Shows
    stock: Stock
    checkout: Checkout
    exports: Exports
    enqueue_capture: EnqueueCapture
    provider_keys: Keyring[ProviderKeys]
    market_table: MarketTable
