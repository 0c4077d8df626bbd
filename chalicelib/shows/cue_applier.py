"""Apply a cue to the stored show or drop, and record a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.errors import BadInput, NotFound
from chalicelib.instants import Instant
from chalicelib.revisions import WRITE_TRIES, write_conflict
from chalicelib.shows.cues import SHOW_CUES, apply_cue_to_drop, apply_cue_to_show, unknown_subject
from chalicelib.shows.model import Cue, CueApplied, CueRefused, CueRepeated, CueResult, CueType, Drop, Show
from chalicelib.shows.records import DropRecord, ShowRecord, cue_key, show_id_of
from chalicelib.shows.stock_adjustments import adjust_stock
from chalicelib.shows.store import ShowStore
from chalicelib.stock import Stock
from chalicelib.telemetry import count, logger

_Record = ShowRecord | DropRecord


@dataclass(frozen=True, slots=True)
class CueApplier:
    """Applies cues to the records of one deployment."""

    store: ShowStore
    stock: Stock
    max_age_seconds: int
    """Age from which an open cue is refused."""

    def apply(self, cue: Cue, now: Instant) -> tuple[CueResult, Show | Drop | None]:
        """Apply a cue, or count, log and store its refusal. Return the record that it changed, too.

        One conditional write decides, of 4 WCU with its audit item.
        """
        if cue.type is CueType.STOCK_ADDED:
            return self._add_stock(cue, now)
        for _ in range(WRITE_TRIES):
            before, after = self._evaluate(cue, now)
            if isinstance(after, CueRepeated):
                return after, None
            if isinstance(after, CueRefused):
                return self._refuse(show_id_of(before), cue, after, now)
            if self.store.commit(before, after, cue.type):
                count("cues_applied")
                return CueApplied(), after
        raise write_conflict(cue.subject)

    def _evaluate(self, cue: Cue, now: Instant) -> tuple[_Record | None, _Record | CueRepeated | CueRefused]:
        """Read the record that a cue is about, and evaluate the cue on it."""
        if cue.type in SHOW_CUES:
            show = self.store.show(cue.subject)
            return show, unknown_subject(cue) if show is None else apply_cue_to_show(show, cue, now)
        drop = self.store.drop(cue.subject)
        if drop is None or drop.draft:
            return drop, unknown_subject(cue)
        return drop, apply_cue_to_drop(drop, cue, now, self.max_age_seconds)

    def _add_stock(self, cue: Cue, now: Instant) -> tuple[CueResult, Show | Drop | None]:
        """Add units to a drop, once for the cue's ``source`` and ``id``. The cue's time does not matter."""
        if cue.quantity is None:
            return self._refuse(None, cue, CueRefused("no_quantity", "The cue has no `quantity`."), now)
        actor = f"cue {cue.source} {cue.id}"
        try:
            added = adjust_stock(self.store, self.stock, cue.subject, cue.quantity, cue_key(cue), actor, now)
        except NotFound:
            return self._refuse(None, cue, unknown_subject(cue), now)
        except BadInput as error:
            show_id = show_id_of(self.store.drop(cue.subject))
            return self._refuse(show_id, cue, CueRefused("too_many", error.detail), now)
        if added.repeated:
            return CueRepeated(), added.drop
        count("cues_applied")
        return CueApplied(), added.drop

    def _refuse(self, show_id: str | None, cue: Cue, refusal: CueRefused, now: Instant) -> tuple[CueRefused, None]:
        """Store, count and log a refusal, so that operators can see why a drop did not change."""
        self.store.put_refused_cue(show_id, cue, refusal, now)
        count("cues_refused")
        fields = {"cue_source": cue.source, "cue_id": cue.id, "cue_type": cue.type.value, "subject": cue.subject}
        logger.warning("cue refused", extra=fields | {"code": refusal.code, "detail": refusal.detail})
        return refusal, None
