"""The room's face: put, read and change shows and drops, and apply cues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from chalicelib.cache import SingleFlightCache
from chalicelib.errors import BadInput, IdempotencyConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.revisions import WRITE_TRIES, write_conflict
from chalicelib.schema import MAX_UNITS_PER_REQUEST
from chalicelib.shows import put_rules, stock_adjustments
from chalicelib.shows.cue_applier import CueApplier
from chalicelib.shows.live_view import CachedView, build_live_view
from chalicelib.shows.model import (
    Cue,
    CueResult,
    Drop,
    DropState,
    DropWithPlan,
    LiveShow,
    Offer,
    RefusedCue,
    Show,
    StockAdjusted,
)
from chalicelib.shows.records import DropRecord, short_hash
from chalicelib.shows.requests import PutDropRequest, PutShowRequest, check_id
from chalicelib.shows.store import ShowStore, membership_item
from chalicelib.shows.windows import window_state
from chalicelib.stock import Stock, Summary, has_expired_hold, plan_sizes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


_MAX_CACHED_DROPS: Final = 5_000
_MAX_CACHED_SHOWS: Final = 100
_WAITING_OFFER_TTL: Final[Instant] = 200
"""How long the offer of a drop that waits for its cue is cached (ms). Its buyers then cost five reads a second."""


class Shows:
    """Shows and drops of one deployment. Made once a process; safe between threads.

    Reads for buyers and watchers are at most one second old. Every method may raise ``Unavailable``.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, stock: Stock, cue_max_age_seconds: int) -> None:
        self._store = ShowStore(dynamodb, commerce_table)
        self._stock = stock
        self._cue_applier = CueApplier(self._store, stock, cue_max_age_seconds)
        self._offer_cache: SingleFlightCache[Offer] = SingleFlightCache(_MAX_CACHED_DROPS, _offer_ttl)
        self._view_cache: SingleFlightCache[CachedView] = SingleFlightCache(_MAX_CACHED_SHOWS)

    def put_show(self, show_id: str, request: PutShowRequest, actor: str, now: Instant) -> tuple[Show, bool]:
        """Create or change a show. Return it, and whether it is new.

        Raises: ``BadInput``; ``Conflict`` for a field that is fixed; ``WriteConflict``.
        """
        check_id(show_id)
        for _ in range(WRITE_TRIES):
            before = self._store.show(show_id)
            if before is None:
                after = put_rules.new_show(show_id, request, actor, now)
            else:
                after = put_rules.changed_show(before, request, actor, now)
            if after is before:
                return after, False
            if self._store.commit(before, after, "put"):
                self._invalidate(after)
                return after, before is None
        raise write_conflict(f"show {show_id}")

    def put_drop(self, drop_id: str, request: PutDropRequest, actor: str, now: Instant) -> tuple[Drop, bool]:
        """Create or change a drop. Return it, and whether it is new.

        A new drop is first a draft, whose record fixes the number of buckets. Then the buckets are created, and the
        draft becomes a drop that its show lists. A repeat continues where a process died.

        Raises: ``BadInput``; ``Conflict`` for a field that is fixed; ``WriteConflict``.
        """
        check_id(drop_id)
        put_rules.check_window(request)
        is_new = False
        for _ in range(WRITE_TRIES):
            before = self._store.drop(drop_id)
            if before is None:
                created = self._create_drop(drop_id, request, actor, now)
                if created is not None:
                    return created, True
                continue
            if before.draft:
                finished = self._finish_draft(before, actor, now)
                if finished is None:
                    continue
                is_new, before = True, finished
            after = self._change_drop(before, request, actor, now)
            if after is not None:
                return after, is_new
        raise write_conflict(f"drop {drop_id}")

    def adjust_stock(self, drop_id: str, quantity: int, key: str, actor: str, now: Instant) -> StockAdjusted:
        """Add units to a drop, or take them away (negative), once for an idempotency key.

        Raises: ``BadInput``; ``NotFound``; ``IdempotencyConflict`` when the key came with another quantity;
        ``WriteConflict``.
        """
        if not 1 <= abs(quantity) <= MAX_UNITS_PER_REQUEST:
            bounds = f"between 1 and {MAX_UNITS_PER_REQUEST}, or between -{MAX_UNITS_PER_REQUEST} and -1"
            raise BadInput(f"`$.quantity` must be {bounds}.", field="$.quantity")
        adjusted = stock_adjustments.adjust_stock(
            self._store, self._stock, drop_id, quantity, short_hash("request", key), actor, now
        )
        self._invalidate(adjusted.drop)
        if adjusted.quantity != quantity:
            raise IdempotencyConflict
        return adjusted

    def apply_cue(self, cue: Cue, now: Instant) -> CueResult:
        """Apply a cue, or count, log and store its refusal. Repeatable: a cue is applied once.

        Costs 4 WCU. A cue of added stock costs what :meth:`adjust_stock` costs.

        Raises: ``Unavailable`` when the outcome is unknown.
        """
        result, changed = self._cue_applier.apply(cue, now)
        if changed is not None:
            self._invalidate(changed)
        return result

    def offer(self, drop_id: str, now: Instant) -> Offer | None:
        """Return the offer of a drop; None for an unknown drop.

        Costs at most one query a second in a process (0.5 RCU), and five while a drop waits for its cue: buyers see
        the cue within 200 ms.
        """
        return self._offer_cache.get(drop_id, now, lambda: self._read_offer(drop_id, now))

    def live(self, show_id: str, now: Instant) -> LiveShow | None:
        """Return the live view of a show, at most one second old; None for an unknown show.

        Costs at most one query a second in a process, and 1 RCU a drop in batches of fifty. Windows are evaluated at
        ``now``, also when the rest was read before.
        """
        cached = self._view_cache.get(show_id, now, lambda: self._read_view(show_id, now))
        if cached is None:
            return None
        if cached.view.next_transition_at is not None and now >= cached.view.next_transition_at:
            cached.view = build_live_view(cached.show, cached.offers, now)
        return cached.view

    def show(self, show_id: str) -> Show | None:
        """Read a show strongly (1 RCU); None for an unknown one."""
        return self._store.show(show_id)

    def refused_cues(self, subject: str | None = None) -> tuple[RefusedCue, ...]:
        """Read the newest hundred refused cues, newest first: all, or those of a drop, or of a show and its drops."""
        return self._store.refused_cues(subject)

    def drops(self, drop_ids: Sequence[str]) -> list[Drop]:
        """Read drops strongly, a hundred a call (1 RCU each). Leaves out unknown drops and drafts."""
        return self._store.drops(drop_ids)

    def drop(self, drop_id: str) -> Drop | None:
        """Read a drop strongly (1 RCU); None for an unknown drop or a draft."""
        record = self._store.drop(drop_id)
        return None if record is None or record.draft else record

    def drop_with_plan(self, drop_id: str) -> DropWithPlan | None:
        """Read a drop and its pending stock plan strongly (1 RCU); None for an unknown drop or a draft."""
        record = self._store.drop(drop_id)
        return None if record is None or record.draft else record.with_plan

    def finish_pending_plan(self, drop_id: str, now: Instant) -> None:
        """Carry out the pending stock plan of a drop, if it has one.

        Raises: ``NotFound``; ``WriteConflict``.
        """
        self._invalidate(stock_adjustments.finish_pending_plan(self._store, self._stock, drop_id, now))

    def drops_with_pending_plan(self) -> Iterator[str]:
        """Yield the drops whose stock plan is not done: a scan of the whole table, 1 RCU for each 4 KB."""
        return self._store.drops_with_pending_plan()

    def _create_drop(self, drop_id: str, request: PutDropRequest, actor: str, now: Instant) -> DropRecord | None:
        """Create a drop that is ready for sale; None when a rival was faster."""
        show = self._store.show(request.show_id)
        if show is None:
            raise BadInput(
                f"`$.show_id` must name a show. There is no show {request.show_id}.",
                field="$.show_id",
                code="unknown_show",
            )
        bucket_count = len(plan_sizes(request.stock, request.usual_quantity))
        draft = put_rules.new_drop(drop_id, request, show, bucket_count, actor, now)
        if not self._store.commit(None, draft, "put"):
            return None
        return self._finish_draft(draft, actor, now)

    def _finish_draft(self, draft: DropRecord, actor: str, now: Instant) -> DropRecord | None:
        """Create the draft's buckets, then make the draft a drop; None when a rival changed the record."""
        self._stock.create_buckets(draft.id, plan_sizes(draft.first_stock, draft.usual_quantity), now)
        ready = draft.with_changes({"draft": False}, actor, now)
        if not self._store.commit(draft, ready, "buckets created", membership_item(draft.show_id, draft.id)):
            return None
        self._invalidate(ready)
        return ready

    def _change_drop(self, before: DropRecord, request: PutDropRequest, actor: str, now: Instant) -> DropRecord | None:
        """Change a drop as the request says; None when a rival changed the record."""
        after = put_rules.changed_drop(before, request, actor, now)
        if after is before:
            return after
        if not self._store.commit(before, after, "put"):
            return None
        self._invalidate(after)
        return after

    def _read_offer(self, drop_id: str, now: Instant) -> Offer | None:
        found = self._store.offer(drop_id)
        return None if found is None else self._with_fresh_summary(*found, now)

    def _read_view(self, show_id: str, now: Instant) -> CachedView | None:
        listed = self._store.list_drops(show_id)
        if listed is None:
            return None
        show, drop_ids = listed
        offers = [self._with_fresh_summary(drop, summary, now) for drop, summary in self._store.offers(drop_ids)]
        return CachedView(show, offers, build_live_view(show, offers, now))

    def _with_fresh_summary(self, drop: Drop, summary: Summary | None, now: Instant) -> Offer:
        """Return the offer of a drop. Compute a summary again that is missing, or counts an expired hold.

        An expiry changes no item, so that no stream record refreshes the summary.
        """
        if summary is None or has_expired_hold(summary, now):
            summary = self._stock.refresh(drop.pool, now)
        return Offer(drop, summary)

    def _invalidate(self, changed: Show | Drop) -> None:
        """Make this process read a changed record again. Other processes see the change within a second."""
        if isinstance(changed, Drop):
            self._offer_cache.invalidate(changed.id)
            self._view_cache.invalidate(changed.show_id)
        else:
            self._view_cache.invalidate(changed.id)


def _offer_ttl(offer: Offer, now: Instant) -> Instant:
    return _WAITING_OFFER_TTL if window_state(offer.drop, now) in (DropState.SCHEDULED, DropState.SUSPENDED) else SECOND
