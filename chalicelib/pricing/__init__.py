"""Pricing: markets, tax rates and shipping."""

from chalicelib.pricing.market_revisions import MarketRevisions, MarketsRevision
from chalicelib.pricing.markets import DEFAULT_MARKETS, Market, Markets, ShippingOption

__all__ = [
    "DEFAULT_MARKETS",
    "Market",
    "MarketRevisions",
    "Markets",
    "MarketsRevision",
    "ShippingOption",
]
