"""What every use case of a purchase works with, and the small things all of them do."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.checkout.exchange import Message, NoPurchase
from chalicelib.checkout.identity import short_digest
from chalicelib.checkout.market_table import MarketTable
from chalicelib.checkout.markets import Market, Markets, ShippingOption
from chalicelib.checkout.model import Destination, IdempotencyRecord, Line, Purchase, PurchaseState
from chalicelib.checkout.states import check_transition
from chalicelib.checkout.store import LimitStore, PurchaseStore
from chalicelib.checkout.totals import totals_of, with_tax
from chalicelib.discounts import ActiveDiscount, Discounts, PricingInput, RejectionReason, apply_discounts
from chalicelib.errors import Conflict
from chalicelib.instants import Instant
from chalicelib.payments import EventStore, Gateway
from chalicelib.risk import NO_LIMITS, DropRisk, Risk, RiskRules
from chalicelib.shows import Shows, SingleFlightCache
from chalicelib.stock import HoldRef, OrderRef, Pool, Stock

_MAX_CACHED_DROPS = 5_000
_MAX_UPDATE_RECORDS = 8  # of updates; the first one and those of completions are kept for ever

NOT_FOUND = NoPurchase((Message("not_found", "Nothing is known under that id.", severity="unrecoverable"),))


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
    id_key: bytes = b""
    """Secret of ids and of buyers' hashes; only the function that creates and completes purchases has it."""
    order_hold_channels: frozenset[str] = frozenset()
    """Channels whose orders are held until an operator releases them."""
    return_url: str = ""
    """The shop's page for buyers who come back from the provider's; ``{checkout}`` in it is the session's id."""

    market_table: MarketTable | None = None
    """Only the function that prices purchases has it: what is placed keeps its rates and totals."""

    risk_rules: RiskRules = NO_LIMITS
    """How many declines are too many; by default none are."""
    risk_cache: SingleFlightCache[DropRisk] = field(
        default_factory=lambda: SingleFlightCache(_MAX_CACHED_DROPS), repr=False, compare=False
    )

    @property
    def risk(self) -> Risk:
        """Declines and what follows from them; they stand beside the purchases."""
        return Risk(self.purchases.dynamodb, self.purchases.commerce_table, self.risk_rules, self.risk_cache)

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
        return self.markets if self.market_table is None else self.market_table.at(now)

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


def pool_of(line: Line) -> Pool:
    """Where a line's drop has its units."""
    return Pool(line.drop_id, line.bucket_count)


def order_ref_of(purchase: Purchase) -> OrderRef:
    """Who the purchase's units are sold to, at its present epoch."""
    return OrderRef(purchase.order_ref, purchase.epoch)


def holds_of(purchase: Purchase) -> list[tuple[Pool, HoldRef]]:
    """Every hold a purchase names, with its drop's layout."""
    return [(pool_of(line), hold) for line in purchase.lines for hold in line.holds]


def budget_holds_of(purchase: Purchase) -> list[tuple[Pool, HoldRef]]:
    """Every share of a budget that a purchase has, with where that stands."""
    return [share for one in purchase.discounts for share in one.holds_with_pools]


def idempotency_record(purchase: Purchase, key: str, fingerprint: str) -> IdempotencyRecord | None:
    """What is known of a request carried out with this idempotency key. ``Conflict`` when it had another body."""
    record = next((one for one in purchase.idempotency_records if one.key == short_digest(key)), None)
    if record and record.fingerprint != short_digest(fingerprint):
        detail = "This Idempotency-Key was used with another body."
        raise Conflict(detail, field="Idempotency-Key", code="idempotency_conflict")
    return record


def with_idempotency_key(
    records: tuple[IdempotencyRecord, ...], key: str, fingerprint: str, attempt: int = 0, *, repriced: bool = False
) -> tuple[IdempotencyRecord, ...]:
    """The keys with one more. Old keys of plain updates are forgotten; creation's and completions' never."""
    kept = [one for one in records[1:] if not (one.attempt or one.repriced)][-(_MAX_UPDATE_RECORDS - 1) :]
    permanent = (one for index, one in enumerate(records) if index == 0 or one.attempt or one.repriced or one in kept)
    added = IdempotencyRecord(
        key=short_digest(key), fingerprint=short_digest(fingerprint), attempt=attempt, repriced=repriced
    )
    return (*permanent, added)


def next_version(purchase: Purchase, now: Instant, **changes: object) -> Purchase:
    """The purchase one version on, changed as given. ``ImpossibleMoveError`` for a move that no table row has."""
    updated = purchase.model_copy(update={"version": purchase.version + 1, "updated_at": now, **changes})
    check_transition(purchase, updated)
    return updated


def release_unreferenced(stock: Stock, new_holds: list[tuple[Pool, HoldRef]], existing: Purchase) -> None:
    """After a *refused* write: release exactly the holds that the purchase which stands there does not name.

    ``standing`` is what refused the write. The same request may have won on another thread, and then the holds are its
    own. Nobody can name them later: a hold belongs to one version, and a version is written once. A cancelled purchase
    names none: its holds were given back, and what a late repeat takes is taken for nobody. A hold that it names with
    another end is one that had lapsed and was taken, and that a repeat took again: a repeat renews nothing.
    """
    cancelled = existing.state is PurchaseState.CANCELLED
    holds = [] if cancelled else [*holds_of(existing), *budget_holds_of(existing)]
    referenced = {(hold.id, hold.expires_at) for _, hold in holds}
    for pool, hold in new_holds:
        if (hold.id, hold.expires_at) not in referenced:
            stock.release(pool, hold)


def abandon_request(
    context: CheckoutContext, purchase: Purchase, new_holds: list[tuple[Pool, HoldRef]], now: Instant
) -> Purchase:
    """Give back what a request took before it gave up *without* a write; answers the purchase as it now stands.

    A twin of the request has the same holds and may be about to name them. So their version is used up first, by a
    write that changes nothing else: who comes later is refused. One write, and one a hold; only a read if none was
    taken.
    """
    if not new_holds:
        return context.purchases.read(purchase.id) or purchase
    superseding = next_version(purchase, now)
    existing = context.purchases.replace(superseding) or superseding
    release_unreferenced(context.stock, new_holds, existing)
    return existing
