"""The desk of discounts: put them, look at them, and what is offered at this moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from chalicelib.cache import SingleFlightCache
from chalicelib.discounts.model import ActiveDiscount, BudgetState, Discount, normalise_code
from chalicelib.discounts.records import DiscountRecord
from chalicelib.discounts.requests import PutDiscountRequest
from chalicelib.discounts.rules import changed_discount, check_consistency, new_discount
from chalicelib.discounts.store import DiscountStore
from chalicelib.errors import BadInput, WriteConflict
from chalicelib.instants import Instant
from chalicelib.shows import Show
from chalicelib.stock import Stock, Summary, has_expired_hold, plan_sizes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TRIES: Final = 10
_MAX_CACHED_CODES: Final = 5_000
_MAX_CACHED_SHOWS: Final = 100


class Discounts:
    """Discounts of one deployment. Made once a process; safe between threads.

    Reads for buyers are at most one second old. Every call may raise ``Unavailable``.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, stock: Stock) -> None:
        self._store = DiscountStore(dynamodb, commerce_table)
        self._stock = stock
        self._code_cache: SingleFlightCache[ActiveDiscount] = SingleFlightCache(_MAX_CACHED_CODES)
        self._automatic_cache: SingleFlightCache[tuple[ActiveDiscount, ...]] = SingleFlightCache(_MAX_CACHED_SHOWS)

    def put(
        self, code_text: str, request: PutDiscountRequest, show: Show | None, actor: str, now: Instant
    ) -> tuple[Discount, bool]:
        """Make or change a discount; True when it is new. ``BadInput``; ``Conflict`` for what may not change.

        ``show`` is the one that the wish names. A new one with budgets is first a draft that nobody is given: its
        record decides their buckets, they are laid out, then the draft mark goes. A repeat goes on where one stopped.
        """
        code = normalise_code(code_text)
        if code is None:
            detail = "A code has 1 to 32 letters, digits or any of _.- and begins with a letter or digit."
            raise BadInput(detail, field="code")
        check_consistency(request, show)
        new = False
        for _ in range(_TRIES):
            record = self._store.read(code, strong=True)
            if record is None:
                record, new = new_discount(code, request, actor, now), True
                if not self._commit(None, record, "put"):
                    continue
            if record.draft:
                ready = self._create_budgets(record, actor, now)
                if ready is None:
                    continue
                record, new = ready, True
            after = changed_discount(record, request, actor, now)
            if after is record or self._commit(record, after, "put"):
                return after, new
        raise WriteConflict(f"discount {code} is being changed by others; repeat the request")

    def get_with_budgets(self, code_text: str, now: Instant) -> tuple[Discount, tuple[BudgetState, ...]] | None:
        """A discount and what is left of its budgets, by strong reads (1 RCU, and one a bucket); None: unknown."""
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
        """What a code stands for; None for an unknown one. One read a second a process (0.5 RCU, as much a budget)."""
        code = normalise_code(code_text)
        if code is None:
            return None
        return self._code_cache.get(code, now, lambda: self._to_active(self._store.read(code, strong=False), now))

    def automatic_of_show(self, show_id: str | None, now: Instant) -> tuple[ActiveDiscount, ...]:
        """The offers that apply by themselves in a show. One query a second a process (0.5 RCU, as much a budget)."""
        if show_id is None:
            return ()
        return self._automatic_cache.get(show_id, now, lambda: self._read_automatic(show_id, now)) or ()

    def _create_budgets(self, draft: DiscountRecord, actor: str, now: Instant) -> DiscountRecord | None:
        """Lay out what the draft's record says, then offer it. None when someone else changed the record."""
        for budget in draft.budgets:
            self._stock.create_buckets(budget.pool.pool_id, plan_sizes(budget.size, budget.usual), now)
        stamp = {"revision": draft.revision + 1, "changed_by": actor, "changed_at": now}
        ready = draft.model_copy(update={"draft": False, **stamp})
        return ready if self._commit(draft, ready, "buckets created") else None

    def _commit(self, before: DiscountRecord | None, after: DiscountRecord, action: str) -> bool:
        """Write it, and let this process see its own change at once; others see it within a second."""
        done = self._store.commit(before, after, action)
        self._code_cache.invalidate(after.code)
        if after.show_id is not None:
            self._automatic_cache.invalidate(after.show_id)
        return done

    def _read_automatic(self, show_id: str, now: Instant) -> tuple[ActiveDiscount, ...]:
        found: Iterable[ActiveDiscount | None] = (
            self._to_active(one, now) for one in self._store.automatic_of_show(show_id)
        )
        return tuple(one for one in found if one is not None)

    def _to_active(self, record: DiscountRecord | None, now: Instant) -> ActiveDiscount | None:
        if record is None or record.draft:
            return None
        return ActiveDiscount(record, tuple(self._summary(budget.pool.pool_id, now) for budget in record.budgets))

    def _summary(self, pool_id: str, now: Instant) -> Summary | None:
        """A budget's summary; None where it counts a reservation that has lapsed: then only a take can tell."""
        summary = self._stock.summary(pool_id)
        return None if summary is None or has_expired_hold(summary, now) else summary
