"""Price history: the earlier price that a shop must show beside a reduced one."""

from __future__ import annotations

from chalicelib.errors import Conflict
from chalicelib.instants import DAY, Instant
from chalicelib.shows.records import DropRecord, PastPrice

OMNIBUS_PERIOD: Instant = 30 * DAY
MAX_PAST_PRICES = 50


def price_change(record: DropRecord, amount: int, now: Instant) -> dict[str, object]:
    """Return the changes of a record that a new price makes, its earlier price among them.

    The earlier price is the lowest of the 30 days before the change (directive 98/6/EC, article 6a). A past price is
    dropped once it can no longer be the lowest: after 30 days, or when a later price was lower.

    Raises: ``Conflict`` when the history has too many prices to store.
    """
    past = [
        price for price in record.past_prices if price.until > now - OMNIBUS_PERIOD and price.amount < record.unit_price
    ]
    past.append(PastPrice(amount=record.unit_price, until=now))
    if len(past) > MAX_PAST_PRICES:
        raise Conflict(
            f"`$.unit_price.amount` has risen more than {MAX_PAST_PRICES} times within 30 days. Change it later.",
            field="$.unit_price.amount",
        )
    return {"unit_price": amount, "past_prices": tuple(past), "earlier_price": min(price.amount for price in past)}
