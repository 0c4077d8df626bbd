"""The picture of a show that its watchers get: the same for all of them, so that a million cost what one does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.instants import SECOND, Instant
from chalicelib.shows.model import LiveDrop, LiveShow, Offer, Show
from chalicelib.shows.windows import drop_state, next_transition_at


def build_live_view(show: Show, offers: Sequence[Offer], now: Instant) -> LiveShow:
    """How a show stands at an instant."""
    drops = tuple(_to_live_drop(offer, now) for offer in offers)
    transitions = [turn for turn in (next_transition_at(offer.drop, now) for offer in offers) if turn is not None]
    digest = hashlib.sha256(repr((show, drops)).encode()).hexdigest()[:32]
    return LiveShow(show, drops, min(transitions, default=None), digest)


def _to_live_drop(offer: Offer, now: Instant) -> LiveDrop:
    drop, summary = offer.drop, offer.summary
    lapse = summary.next_lapse_at
    return LiveDrop(
        drop_id=drop.id,
        state=drop_state(drop, summary, now),
        sku=drop.sku,
        title=drop.title,
        image_url=drop.image_url,
        opens_at=drop.opens_at,
        closes_at=drop.closes_at,
        unit_price=drop.unit_price,
        earlier_price=drop.price_reduced_from,
        currency=drop.currency,
        available=summary.available,
        held=summary.held,
        sold=summary.sold,
        size=summary.size,
        next_lapse_at=None if lapse is None else lapse * SECOND,
    )


@dataclass(slots=True)
class CachedView:
    """A show as read within the last second, and its picture, drawn anew when a window turns meanwhile."""

    show: Show
    offers: list[Offer]
    view: LiveShow
