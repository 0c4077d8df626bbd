"""What every use case of a purchase works with, and the small things all of them do."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.discounts import ActiveDiscount, Discounts, PricingInput, RejectionReason, apply_discounts
from chalicelib.errors import NotFound
from chalicelib.instants import Instant
from chalicelib.payments import EventStore, Gateway
from chalicelib.pricing import Market, MarketRevisions, Markets, ShippingOption
from chalicelib.purchase.model import Destination, Purchase, PurchaseState
from chalicelib.purchase.store import LimitStore, PurchaseStore
from chalicelib.purchase.totals import totals_of, with_tax
from chalicelib.risk import Risk
from chalicelib.shows import Shows
from chalicelib.stock import Stock


@dataclass(frozen=True, slots=True)
class CheckoutContext:
    """Where purchases are kept, what is on offer, where units stand, who takes the money, and the shop's id key."""

    purchases: PurchaseStore
    shows: Shows
    stock: Stock
    gateway: Gateway
    markets: Markets
    """The markets that hold where there is no table of the shop's."""
    discounts: Discounts
    risk: Risk
    id_key: bytes = b""
    """Secret of ids and of buyers' hashes; only the function that creates and completes purchases has it."""
    order_hold_channels: frozenset[str] = frozenset()
    """Channels whose orders are held until an operator releases them."""
    return_url: str = ""
    """The shop's page for buyers who come back from the provider's; ``{checkout}`` in it is the session's id."""

    market_table: MarketRevisions | None = None
    """Only the function that prices purchases has it: what is placed keeps its rates and totals."""

    @property
    def limits(self) -> LimitStore:
        """What buyers have of limited drops; it stands beside the purchases."""
        return LimitStore(self.purchases.dynamodb, self.purchases.commerce_table)

    @property
    def events(self) -> EventStore:
        """What the provider told; it stands beside the purchases."""
        return EventStore(self.purchases.dynamodb, self.purchases.commerce_table)

    def markets_at(self, now: Instant) -> Markets:
        """The shop's markets, at most a second old."""
        return self.markets if self.market_table is None else self.market_table.current(now)

    def reprice(self, purchase: Purchase) -> Purchase:
        """The purchase with market, shipping option, discounts, tax and totals, as it asks for at its last change."""
        purchase = self._with_discounts(purchase)
        where = purchase.destination, purchase.market, purchase.currency
        market, options = self.shipping_options(*where, purchase.updated_at)
        option = next((one for one in options if one.id == purchase.shipping_option), next(iter(options), None))
        lines = tuple(with_tax(line, market) for line in purchase.lines)
        return purchase.model_copy(
            update={
                "market": market.id,
                "shipping_option": option.id if option else None,
                "lines": lines,
                "totals": totals_of(lines, market, option, purchase.currency),
            }
        )

    def clear_discount_rejections(self, purchase: Purchase) -> Purchase:
        """The purchase with no discount refused from before, but for what is known to be used up."""
        offered = [*self._discounts_by_code(purchase).values(), *self._automatic_discounts(purchase)]
        used_up = {
            one.discount.code: RejectionReason.USED_UP.value for one in offered if one is not None and one.used_up
        }
        return purchase.model_copy(update={"rejected_codes": used_up})

    def _with_discounts(self, purchase: Purchase) -> Purchase:
        priced_lines = [(line.drop_id, line.gross) for line in purchase.lines]
        pricing_input = PricingInput(purchase.show_id, purchase.currency, priced_lines, purchase.rejected_codes)
        applied_discounts, rejected = apply_discounts(
            pricing_input, self._discounts_by_code(purchase), self._automatic_discounts(purchase), purchase.updated_at
        )
        amounts_off = [sum(one.parts[index] for one in applied_discounts) for index in range(len(priced_lines))]
        lines = (line.model_copy(update={"discount": amounts_off[i]}) for i, line in enumerate(purchase.lines))
        return purchase.model_copy(
            update={"discounts": applied_discounts, "rejected_codes": rejected, "lines": tuple(lines)}
        )

    def _discounts_by_code(self, purchase: Purchase) -> dict[str, ActiveDiscount | None]:
        return {code: self.discounts.find(code, purchase.updated_at) for code in purchase.discount_codes}

    def _automatic_discounts(self, purchase: Purchase) -> tuple[ActiveDiscount, ...]:
        return self.discounts.automatic_of_show(purchase.show_id, purchase.updated_at)

    def shipping_options(
        self, destination: Destination | None, market_id: str, currency: str, now: Instant
    ) -> tuple[Market, tuple[ShippingOption, ...]]:
        """The market of a destination and the ways to ship there; none while its country is unknown."""
        country = destination.address_country if destination else None
        markets = self.markets_at(now)
        market = markets.of_country(country) or markets.by_id(market_id)
        return market, market.options(currency) if country else ()


def order_not_found() -> NotFound:
    """Return the error for an id that names no order."""
    return NotFound("No order has this id.", field="id")


def read_order(context: CheckoutContext, purchase_id: str) -> Purchase:
    """Read a placed or paid order. One consistent read.

    Raises:
        NotFound: no purchase has this id, or it was never placed, or it was cancelled before it was paid.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None or purchase.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}:
        raise order_not_found()
    return purchase
