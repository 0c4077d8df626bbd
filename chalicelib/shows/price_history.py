"""Price history: the earlier price that may be shown beside a reduced one."""

from __future__ import annotations

from chalicelib.errors import Conflict
from chalicelib.instants import DAY, Instant
from chalicelib.shows.records import DropRecord, PastPrice

OMNIBUS_PERIOD: Instant = 30 * DAY
MAX_PAST_PRICES = 50


def price_change(record: DropRecord, amount: int, now: Instant) -> dict[str, object]:
    """The changes that a new price makes, its earlier price among them.

    The earlier price is the lowest that was asked in the 30 days before the change (directive 98/6/EC, article 6a).
    A past price is kept only while it can still be that lowest one: those asked before a later, lower one cannot.
    """
    past = [
        price for price in record.past_prices if price.until > now - OMNIBUS_PERIOD and price.amount < record.unit_price
    ]
    past.append(PastPrice(amount=record.unit_price, until=now))
    if len(past) > MAX_PAST_PRICES:
        raise Conflict(
            "the price has risen too often within 30 days for its history to be kept", field="$.unit_price.amount"
        )
    return {"unit_price": amount, "past_prices": tuple(past), "earlier_price": min(price.amount for price in past)}
