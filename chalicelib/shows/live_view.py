"""The live view of a show. All watchers get the same one, so that a million of them cost as much as one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.instants import SECOND, Instant
from chalicelib.shows.model import LiveDrop, LiveShow, Offer, Show
from chalicelib.shows.windows import drop_state, next_transition_at


def build_live_view(show: Show, offers: Sequence[Offer], now: Instant) -> LiveShow:
    """Build the live view of a show at an instant."""
    drops = tuple(_to_live_drop(offer, now) for offer in offers)
    transitions = [at for at in (next_transition_at(offer.drop, now) for offer in offers) if at is not None]
    digest = hashlib.sha256(repr((show, drops)).encode()).hexdigest()[:32]
    return LiveShow(show, drops, min(transitions, default=None), digest)


def _to_live_drop(offer: Offer, now: Instant) -> LiveDrop:
    drop, summary = offer.drop, offer.summary
    next_expiry = summary.next_lapse_at
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
        next_lapse_at=None if next_expiry is None else next_expiry * SECOND,
    )


@dataclass(slots=True)
class CachedView:
    """A show as read within the last second, and its live view, built again when a window opens or closes."""

    show: Show
    offers: list[Offer]
    view: LiveShow
