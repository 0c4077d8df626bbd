"""The show desk: every verb on shows and drops, bound to this process's tables and its memory of the last second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.instants import Instant
from chalicelib.shows.model import Cue, CueAnswer, Drop, LiveShow, Offer, RefusedCue, Show, StockAdded
from chalicelib.shows.wishes import DropWish, ShowWish

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.stock import Stock


class Shows:
    """Shows and drops of one deployment. Made once a process; safe between threads.

    Reads for buyers and watchers are at most one second old. Every call may raise ``Unavailable``.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, stock: Stock, cue_max_age_seconds: int) -> None:
        raise NotImplementedError

    def put_show(self, show_id: str, wish: ShowWish, actor: str, now: Instant) -> tuple[Show, bool]:
        """Make or change a show; True when it is new. ``BadInput``; ``Conflict`` for what may not change."""
        raise NotImplementedError

    def put_drop(self, drop_id: str, wish: DropWish, actor: str, now: Instant) -> tuple[Drop, bool]:
        """Make or change a drop; True when it is new. ``BadInput``; ``Conflict`` for what may not change."""
        raise NotImplementedError

    def add_stock(self, drop_id: str, quantity: int, key: str, actor: str, now: Instant) -> StockAdded:
        """Add units once for an idempotency key. ``NotFound``; ``Conflict`` when the key came with another quantity."""
        raise NotImplementedError

    def apply_cue(self, cue: Cue, now: Instant) -> CueAnswer:
        """Apply what the show says; a refusal is counted, logged and kept in the show's record."""
        raise NotImplementedError

    def offer(self, drop_id: str, now: Instant) -> Offer | None:
        """What a buyer is offered; None for an unknown drop. At most one query a second a process."""
        raise NotImplementedError

    def live(self, show_id: str, now: Instant) -> LiveShow | None:
        """The show as its watchers see it; None for an unknown show. At most one second old."""
        raise NotImplementedError

    def show(self, show_id: str, now: Instant) -> LiveShow | None:
        """The same picture as :meth:`live`: it holds everything that either address shows."""
        raise NotImplementedError

    def refused_cues(self, show_id: str) -> tuple[RefusedCue, ...]:
        """The newest hundred refused cues of a show, newest first. For operators."""
        raise NotImplementedError

    def drop(self, drop_id: str) -> Drop | None:
        """The drop as it stands, by a strong read: for operators and audits."""
        raise NotImplementedError
