"""The room's face: put discounts, and read those that are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chalicelib.cache import SingleFlightCache
from chalicelib.discounts.model import ActiveDiscount, BudgetState, Discount, normalise_code
from chalicelib.discounts.records import DiscountRecord
from chalicelib.discounts.requests import PutDiscountRequest
from chalicelib.discounts.rules import changed_discount, check_consistency, new_discount
from chalicelib.discounts.store import DiscountStore
from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.revisions import WRITE_TRIES, write_conflict
from chalicelib.shows import Show
from chalicelib.stock import Stock, Summary, has_expired_hold, plan_sizes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MAX_CACHED_CODES: Final = 5_000
_MAX_CACHED_SHOWS: Final = 100


class Discounts:
    """Discounts of one deployment. Made once a process; safe between threads.

    Reads for buyers are at most one second old. Every method may raise ``Unavailable``.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, stock: Stock) -> None:
        self._store = DiscountStore(dynamodb, commerce_table)
        self._stock = stock
        self._code_cache: SingleFlightCache[ActiveDiscount] = SingleFlightCache(_MAX_CACHED_CODES)
        self._automatic_cache: SingleFlightCache[tuple[ActiveDiscount, ...]] = SingleFlightCache(_MAX_CACHED_SHOWS)

    def put(
        self, code_text: str, request: PutDiscountRequest, show: Show | None, actor: str, now: Instant
    ) -> tuple[Discount, bool]:
        """Create or change a discount. Return it, and whether it is new.

        ``show`` is the one that the request names. A new discount with budgets is first a draft, whose record fixes
        the number of buckets. Then the buckets are created, and the draft becomes a discount. A repeat continues where
        a process died.

        Raises: ``BadInput``; ``Conflict`` for a field that is fixed; ``WriteConflict``.
        """
        code = normalise_code(code_text)
        if code is None:
            detail = "`code` must have 1 to 32 letters, digits or any of _.- and must begin with a letter or digit."
            raise BadInput(detail, field="code")
        check_consistency(request, show)
        is_new = False
        for _ in range(WRITE_TRIES):
            record = self._store.read(code, strong=True)
            if record is None:
                record, is_new = new_discount(code, request, actor, now), True
                if not self._commit(None, record, "put"):
                    continue
            if record.draft:
                finished = self._finish_draft(record, actor, now)
                if finished is None:
                    continue
                record, is_new = finished, True
            after = changed_discount(record, request, actor, now)
            if after is record or self._commit(record, after, "put"):
                return after, is_new
        raise write_conflict(f"discount {code}")

    def get_with_budgets(self, code_text: str, now: Instant) -> tuple[Discount, tuple[BudgetState, ...]] | None:
        """Read a discount and its budgets strongly (1 RCU, and one a bucket); None for an unknown code or a draft."""
        code = normalise_code(code_text)
        record = None if code is None else self._store.read(code, strong=True)
        if record is None or record.draft:
            return None
        states = []
        for budget in record.budgets:
            audit = self._stock.audit(budget.pool, budget.size, now)
            states.append(BudgetState(budget.is_money, audit.size, audit.available, audit.held, audit.sold))
        return record, tuple(states)

    def find(self, code_text: str, now: Instant) -> ActiveDiscount | None:
        """Return the discount of a code, at most one second old; None for an unknown code.

        Costs one read a second in a process: 0.5 RCU, and 0.5 for each budget.
        """
        code = normalise_code(code_text)
        if code is None:
            return None
        return self._code_cache.get(code, now, lambda: self._to_active(self._store.read(code, strong=False), now))

    def automatic_of_show(self, show_id: str | None, now: Instant) -> tuple[ActiveDiscount, ...]:
        """Return the automatic discounts of a show, at most one second old.

        Costs one query a second in a process: 0.5 RCU, and 0.5 for each budget.
        """
        if show_id is None:
            return ()
        return self._automatic_cache.get(show_id, now, lambda: self._read_automatic(show_id, now)) or ()

    def _finish_draft(self, draft: DiscountRecord, actor: str, now: Instant) -> DiscountRecord | None:
        """Create the buckets of the draft's budgets, then make the draft a discount; None when a rival was faster."""
        for budget in draft.budgets:
            self._stock.create_buckets(budget.pool.pool_id, plan_sizes(budget.size, budget.usual), now)
        ready = draft.with_changes({"draft": False}, actor, now)
        return ready if self._commit(draft, ready, "buckets created") else None

    def _commit(self, before: DiscountRecord | None, after: DiscountRecord, action: str) -> bool:
        """Write a discount, and make this process read it again. Other processes see it within a second."""
        is_written = self._store.commit(before, after, action)
        self._code_cache.invalidate(after.code)
        if after.show_id is not None:
            self._automatic_cache.invalidate(after.show_id)
        return is_written

    def _read_automatic(self, show_id: str, now: Instant) -> tuple[ActiveDiscount, ...]:
        records = self._store.automatic_of_show(show_id)
        return tuple(active for record in records if (active := self._to_active(record, now)) is not None)

    def _to_active(self, record: DiscountRecord | None, now: Instant) -> ActiveDiscount | None:
        if record is None or record.draft:
            return None
        return ActiveDiscount(record, tuple(self._summary(budget.pool.pool_id, now) for budget in record.budgets))

    def _summary(self, pool_id: str, now: Instant) -> Summary | None:
        """Return a budget's summary; None when it counts an expired hold, so that only a take can find out."""
        summary = self._stock.summary(pool_id)
        return None if summary is None or has_expired_hold(summary, now) else summary
