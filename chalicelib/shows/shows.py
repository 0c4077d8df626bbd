"""The show desk: every verb on shows and drops, bound to this process's tables and its memory of the last second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from chalicelib.cache import SingleFlightCache
from chalicelib.errors import BadInput, IdempotencyConflict, NotFound, WriteConflict
from chalicelib.instants import SECOND, Instant
from chalicelib.schema import MAX_UNITS_PER_REQUEST
from chalicelib.shows import cues, put_rules, stock_adjustments
from chalicelib.shows.live_view import CachedView, build_live_view
from chalicelib.shows.model import (
    Cue,
    CueApplied,
    CueRefused,
    CueRepeated,
    CueResult,
    CueType,
    Drop,
    DropState,
    DropWithPlan,
    LiveShow,
    Offer,
    RefusedCue,
    Show,
    StockAdjusted,
)
from chalicelib.shows.records import DropRecord, ShowRecord, cue_key, short_hash, show_id_of
from chalicelib.shows.requests import PutDropRequest, PutShowRequest, check_id
from chalicelib.shows.store import ShowStore, membership_item
from chalicelib.shows.windows import window_state
from chalicelib.stock import Stock, Summary, has_expired_hold, plan_sizes
from chalicelib.telemetry import count, logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


_TRIES: Final = 10
_MAX_CACHED_DROPS: Final = 5_000
_MAX_CACHED_SHOWS: Final = 100
_WAITING_OFFER_TTL: Final[Instant] = 200
"""How long a drop that waits for its cue is remembered (ms): its crowd is answered from five reads a second."""


class Shows:
    """Shows and drops of one deployment. Made once a process; safe between threads.

    Reads for buyers and watchers are at most one second old. Every call may raise ``Unavailable``.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, stock: Stock, cue_max_age_seconds: int) -> None:
        self._store = ShowStore(dynamodb, commerce_table)
        self._stock = stock
        self._cue_max_age_seconds = cue_max_age_seconds
        self._offer_cache: SingleFlightCache[Offer] = SingleFlightCache(_MAX_CACHED_DROPS, _offer_ttl)
        self._view_cache: SingleFlightCache[CachedView] = SingleFlightCache(_MAX_CACHED_SHOWS)

    def put_show(self, show_id: str, request: PutShowRequest, actor: str, now: Instant) -> tuple[Show, bool]:
        """Make or change a show; True when it is new. ``BadInput``; ``Conflict`` for what may not change."""
        check_id(show_id)
        for _ in range(_TRIES):
            before = self._store.show(show_id)
            if before is None:
                after = put_rules.new_show(show_id, request, actor, now)
            else:
                after = put_rules.changed_show(before, request, actor, now)
            if after is before:
                return after, False
            if self._store.commit(before, after, "put"):
                self._view_cache.invalidate(show_id)
                return after, before is None
        raise WriteConflict(f"show {show_id} is being changed by others; repeat the request")

    def put_drop(self, drop_id: str, request: PutDropRequest, actor: str, now: Instant) -> tuple[Drop, bool]:
        """Make or change a drop; True when it is new. ``BadInput``; ``Conflict`` for what may not change.

        A new drop is first a draft that nobody is sold. Its record decides how many buckets it has; they are laid out;
        then the draft mark goes, and the show lists it. A repeat goes on wherever a dead process stopped.
        """
        check_id(drop_id)
        put_rules.check_window(request)
        new = False
        for _ in range(_TRIES):
            before = self._store.drop(drop_id)
            if before is None:
                made = self._create_drop(drop_id, request, actor, now)
                if made is not None:
                    return made, True
                continue
            if before.draft:
                finished = self._finish_draft(before, actor, now)
                if finished is None:
                    continue
                new, before = True, finished
            after = self._change_drop(before, request, actor, now)
            if after is not None:
                return after, new
        raise WriteConflict(f"drop {drop_id} is being changed by others; repeat the request")

    def adjust_stock(self, drop_id: str, quantity: int, key: str, actor: str, now: Instant) -> StockAdjusted:
        """Add units, or take them away (negative), once for an idempotency key.

        ``NotFound``; ``IdempotencyConflict`` when the key came with another quantity.
        """
        if not 1 <= abs(quantity) <= MAX_UNITS_PER_REQUEST:
            wanted = f"must be between 1 and {MAX_UNITS_PER_REQUEST}, or as much below 0"
            raise BadInput(f"$.quantity: {wanted}", field="$.quantity")
        answer = stock_adjustments.adjust_stock(
            self._store, self._stock, drop_id, quantity, short_hash("request", key), actor, now
        )
        self._invalidate(answer.drop)
        if answer.quantity != quantity:
            raise IdempotencyConflict
        return answer

    def apply_cue(self, cue: Cue, now: Instant) -> CueResult:
        """Apply what the show says; a refusal is counted, logged and kept in the show's record.

        Decided by one conditional write, of 4 WCU with its audit item. ``Unavailable``: nothing is known to be applied,
        the cue may come again.
        """
        if cue.type is CueType.STOCK_ADDED:
            return self._add_stock_by_cue(cue, now)
        for _ in range(_TRIES):
            before, after = self._evaluate_cue(cue, now)
            if isinstance(after, CueRepeated):
                return after
            if isinstance(after, CueRefused):
                return self._record_refusal(show_id_of(before), cue, after, now)
            if self._store.commit(before, after, cue.type):
                self._invalidate(after)
                count("cues_applied")
                return CueApplied()
        raise WriteConflict(f"{cue.subject} is being changed by others; send the cue again")

    def offer(self, drop_id: str, now: Instant) -> Offer | None:
        """What a buyer is offered; None for an unknown drop.

        At most one query a second a process (0.5 RCU); five while only a cue can open the drop, so that it is felt.
        """
        return self._offer_cache.get(drop_id, now, lambda: self._with_fresh_summary(self._store.offer(drop_id), now))

    def live(self, show_id: str, now: Instant) -> LiveShow | None:
        """The show as its watchers see it; None for an unknown show. At most one second old.

        Read at most once a second a process: one query, and 0.5 RCU twice a drop in batches of fifty. Windows are
        judged at ``now``, whenever the rest was read.
        """
        cached = self._view_cache.get(show_id, now, lambda: self._read_view(show_id, now))
        if cached is None:
            return None
        if cached.view.next_transition_at is not None and now >= cached.view.next_transition_at:
            cached.view = build_live_view(cached.show, cached.offers, now)
        return cached.view

    def show(self, show_id: str) -> Show | None:
        """The show as it stands, by a strong read (1 RCU); None for an unknown one."""
        return self._store.show(show_id)

    def refused_cues(self, subject: str | None = None) -> tuple[RefusedCue, ...]:
        """The newest hundred refused cues, newest first; of one drop, or of a show and its drops. For operators."""
        return self._store.refused_cues(subject)

    def drops(self, drop_ids: Sequence[str]) -> list[Drop]:
        """Drops as they stand, by strong reads, a hundred a call (1 RCU each); unknown ones are left out."""
        return self._store.drops(drop_ids)

    def drop(self, drop_id: str) -> Drop | None:
        """The drop as it stands, by a strong read (1 RCU): for operators and audits."""
        record = self._store.drop(drop_id)
        return None if record is None or record.draft else record

    def drop_with_plan(self, drop_id: str) -> DropWithPlan | None:
        """The drop with the stock plan that is under way, by a strong read (1 RCU): for audits."""
        record = self._store.drop(drop_id)
        return None if record is None or record.draft else record.with_plan

    def finish_pending_plan(self, drop_id: str, now: Instant) -> None:
        """Carry out a stock plan that was left behind, or is under way. ``NotFound``; ``WriteConflict``."""
        self._invalidate(stock_adjustments.finish_pending_plan(self._store, self._stock, drop_id, now))

    def drops_with_pending_plan(self) -> Iterator[str]:
        """Drops with a stock plan under way, or left behind: a scan of the whole table."""
        return self._store.drops_with_pending_plan()

    def _create_drop(self, drop_id: str, request: PutDropRequest, actor: str, now: Instant) -> DropRecord | None:
        """A new drop, ready for sale; None when someone else was faster."""
        show = self._store.show(request.show_id)
        if show is None:
            raise BadInput(f"$.show_id: no show {request.show_id}", field="$.show_id", code="unknown_show")
        bucket_count = len(plan_sizes(request.stock, request.usual_quantity))
        draft = put_rules.new_drop(drop_id, request, show, bucket_count, actor, now)
        if not self._store.commit(None, draft, "put"):
            return None
        return self._finish_draft(draft, actor, now)

    def _finish_draft(self, draft: DropRecord, actor: str, now: Instant) -> DropRecord | None:
        """Lay out what the draft's record says, then show the drop. None when someone else changed the record."""
        self._stock.create_buckets(draft.id, plan_sizes(draft.first_stock, draft.usual_quantity), now)
        stamp = {"revision": draft.revision + 1, "changed_by": actor, "changed_at": now}
        ready = draft.model_copy(update={"draft": False, **stamp})
        if not self._store.commit(draft, ready, "buckets created", extra_item=membership_item(draft.show_id, draft.id)):
            return None
        self._invalidate(ready)
        return ready

    def _change_drop(self, before: DropRecord, request: PutDropRequest, actor: str, now: Instant) -> DropRecord | None:
        """The drop as the body wants it; None when someone else changed the record."""
        after = put_rules.changed_drop(before, request, actor, now)
        if after is before:
            return after
        if not self._store.commit(before, after, "put"):
            return None
        self._invalidate(after)
        return after

    def _evaluate_cue(
        self, cue: Cue, now: Instant
    ) -> tuple[ShowRecord | DropRecord | None, ShowRecord | DropRecord | CueRepeated | CueRefused]:
        """The record that a cue is about, and what becomes of it."""
        if cue.type in cues.SHOW_CUES:
            show = self._store.show(cue.subject)
            return show, cues.unknown_subject(cue) if show is None else cues.apply_cue_to_show(show, cue, now)
        drop = self._store.drop(cue.subject)
        if drop is None or drop.draft:
            return drop, cues.unknown_subject(cue)
        return drop, cues.apply_cue_to_drop(drop, cue, now, self._cue_max_age_seconds)

    def _add_stock_by_cue(self, cue: Cue, now: Instant) -> CueResult:
        """Units count once by the cue's ``source`` and ``id``, whatever its time."""
        if cue.quantity is None:
            return self._record_refusal(None, cue, CueRefused("no_quantity", "the cue says no quantity"), now)
        actor = f"cue {cue.source} {cue.id}"
        try:
            added = stock_adjustments.adjust_stock(
                self._store, self._stock, cue.subject, cue.quantity, cue_key(cue), actor, now
            )
        except NotFound:
            return self._record_refusal(None, cue, cues.unknown_subject(cue), now)
        except BadInput as error:
            return self._record_refusal(
                show_id_of(self._store.drop(cue.subject)), cue, CueRefused("too_many", error.detail), now
            )
        self._invalidate(added.drop)
        if added.repeated:
            return CueRepeated()
        count("cues_applied")
        return CueApplied()

    def _record_refusal(self, show_id: str | None, cue: Cue, refusal: CueRefused, now: Instant) -> CueRefused:
        """Keep, count and log a refusal, so that nobody has to wonder why a drop did not move."""
        self._store.put_refused_cue(show_id, cue, refusal, now)
        count("cues_refused")
        about = {"cue_source": cue.source, "cue_id": cue.id, "cue_type": cue.type.value, "subject": cue.subject}
        logger.warning("cue refused", extra=about | {"code": refusal.code, "detail": refusal.detail})
        return refusal

    def _read_view(self, show_id: str, now: Instant) -> CachedView | None:
        listed = self._store.list_drops(show_id)
        if listed is None:
            return None
        show, drop_ids = listed
        offers = [
            offer for one in self._store.offers(drop_ids) if (offer := self._with_fresh_summary(one, now)) is not None
        ]
        return CachedView(show, offers, build_live_view(show, offers, now))

    def _with_fresh_summary(self, found: tuple[Drop, Summary | None] | None, now: Instant) -> Offer | None:
        """An offer. Its summary is made anew where it is missing, or counts a hold that has lapsed: nobody told it."""
        if found is None:
            return None
        drop, summary = found
        if summary is None or has_expired_hold(summary, now):
            summary = self._stock.refresh(drop.pool, now)
        return Offer(drop, summary)

    def _invalidate(self, changed: Show | Drop) -> None:
        """Let this process see its own change at once; others see it within a second."""
        if isinstance(changed, Drop):
            self._offer_cache.invalidate(changed.id)
            self._view_cache.invalidate(changed.show_id)
        else:
            self._view_cache.invalidate(changed.id)


def _offer_ttl(offer: Offer, now: Instant) -> Instant:
    return _WAITING_OFFER_TTL if window_state(offer.drop, now) in (DropState.SCHEDULED, DropState.SUSPENDED) else SECOND
