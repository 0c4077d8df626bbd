"""Pricing: markets with their tax rates and shipping options."""

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
