"""Read what the purchases of a show, or of all shows, expect of a drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chalicelib.instants import Instant, UnixSeconds
from chalicelib.purchase import CheckoutContext, Purchase
from chalicelib.recovery.audit_store import LimitUsageRecord, read_pages
from chalicelib.recovery.expected_holds import ExpectedHold, expected_holds_of, expected_without_hold
from chalicelib.recovery.limit_audit import LimitedOrder, limited_order
from chalicelib.shows import Drop
from chalicelib.stock import HoldStatus

TimeBudget = Callable[[], bool]
"""Returns whether the time that a call may take is used up."""


@dataclass(slots=True)
class Expectations:
    """Expected holds by hold id, and purchases by the order reference that a bucket has."""

    by_hold: dict[str, ExpectedHold] = field(default_factory=dict)
    by_order: dict[str, ExpectedHold] = field(default_factory=dict)
    max_hold_untils: set[UnixSeconds] = field(default_factory=set)
    limited_orders: dict[str, LimitedOrder | None] = field(default_factory=dict)
    limit_records: list[LimitUsageRecord] = field(default_factory=list)
    purchases: int = 0
    """Purchases that expect units of the drop."""
    last_updated_at: Instant = 0
    """The latest instant at which a purchase of the show was written."""
    complete: bool = True
    """Whether all purchases were read."""

    def expected_for(self, hold_id: str, status: HoldStatus | None) -> ExpectedHold | None:
        """Return the purchase that names a hold, or else the one whose order has its units."""
        order = None if status is None else status.order_ref
        return self.by_hold.get(hold_id) or (None if order is None else self.by_order.get(order))

    def add_purchase(self, purchase: Purchase, drop_id: str | None) -> None:
        """Add what a purchase expects of the drop (None: of any)."""
        expected = {named.hold.id: named for named in expected_holds_of(purchase, drop_id) if named.hold is not None}
        self.by_hold |= expected
        self.purchases += bool(expected)
        self.max_hold_untils |= {line.max_hold_until for line in purchase.lines if drop_id in {None, line.drop_id}}
        self.last_updated_at = max(self.last_updated_at, purchase.updated_at)


def read_expectations(
    context: CheckoutContext,
    drop: Drop,
    statuses: Iterable[HoldStatus],
    time_is_up: TimeBudget,
    *,
    all_shows: bool = False,
) -> Expectations:
    """Read what the purchases of the drop's show expect of it, until the time is up.

    ``all_shows``: what any purchase expects of any drop, so that no hold that a purchase names anywhere is called
    unnamed.
    """
    orders = {status.order_ref for status in statuses}
    expectations = Expectations()
    for page in read_pages(context.purchases, drop.id, None if all_shows else drop.show_id):
        if time_is_up():
            expectations.complete = False
            break
        expectations.limit_records += page.limit_records
        for purchase in page.purchases:
            expectations.add_purchase(purchase, None if all_shows else drop.id)
            expectations.limited_orders |= limited_order(purchase, drop.id)
            if purchase.order_ref in orders:
                expectations.by_order[purchase.order_ref] = expected_without_hold(purchase)
    return expectations


def read_again(
    context: CheckoutContext,
    drop: Drop,
    purchase_ids: Iterable[str],
    time_is_up: TimeBudget,
    expectations: Expectations,
) -> None:
    """Add to expectations what these purchases expect of the drop now. 1 RCU each, until the time is up."""
    for purchase_id in purchase_ids:
        if time_is_up():
            expectations.complete = False
            return
        purchase = context.purchases.read(purchase_id)
        if purchase is not None:
            expectations.by_order[purchase.order_ref] = expected_without_hold(purchase)
            expectations.add_purchase(purchase, drop.id)
