"""The state of one Stripe account. Records are never changed in place, so a copy of the state is cheap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Any, Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.behaviour import Behaviour
from tests.doubles.stripe.clock import SECOND, Clock

Record = Mapping[str, Any]
"""An object of the API. Keys that begin with an underscore are the double's own."""
Work = Callable[..., None]

API_VERSION: Final = "2026-10-28.endive"
"""The API version of the installed SDK (S, `_api_version.py`)."""

PREFIXES: Final = {
    "payment_intent": "pi",
    "charge": "ch",
    "refund": "re",
    "dispute": "dp",
    "balance_transaction": "txn",
    "payout": "po",
    "event": "evt",
    "payment_method": "pm",
    "confirmation_token": "ctoken",
    "review": "prv",
    "radar.early_fraud_warning": "issfr",
}
_KIND_OF: Final = {prefix: kind for kind, prefix in PREFIXES.items()}


@dataclass(frozen=True)
class Cause:
    """The request that is being executed; both None for Stripe's own doings (W5, S)."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass
class State:
    """All that one account knows. Plain values only: no locks, no threads, no open files."""

    behaviour: Behaviour
    clock: Clock
    now: int
    """The instant of what is being done, in milliseconds."""
    records: dict[str, dict[str, Record]] = field(default_factory=lambda: {kind: {} for kind in PREFIXES})
    counters: dict[str, int] = field(default_factory=dict)
    due: list[tuple[int, int, Work, tuple[Any, ...]]] = field(default_factory=list)
    """Work for later, as a heap: instant, number, function, arguments."""
    cause: Cause = Cause()
    rates: dict[str, str] = field(default_factory=dict)
    """The worth of one major unit of a currency in the settlement currency, as a decimal number."""
    keys: dict[str, str | frozenset[str]] = field(default_factory=dict)
    """API keys: ``full``, ``expired``, or the operations that a restricted key may call."""
    stored: dict[str, Any] = field(default_factory=dict)
    """Idempotency keys and what was answered under them."""
    buckets: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Rate limiters: tokens left, and the instant at which that was so."""
    calls: list[tuple[int, str]] = field(default_factory=list)
    """Instant and operation of each call, refused ones too."""
    faults: deque[Any] = field(default_factory=deque)
    chooser: Any = None
    locks: dict[str, int] = field(default_factory=dict)
    """Objects on which Stripe itself works, and until when."""
    versions: dict[str, tuple[tuple[int, Record], ...]] = field(default_factory=dict)
    """The recent versions of each intent, for the search."""
    outages: tuple[tuple[int, int], ...] = ()
    """Between which instants the search's index does not move."""
    endpoints: dict[str, Any] = field(default_factory=dict)
    outbox: dict[int, Any] = field(default_factory=dict)
    """Deliveries that are due and not yet collected."""

    def fork(self, clock: Clock | None = None) -> State:
        """Copy the state. Costs one copied reference for each record."""
        return replace(
            self,
            clock=clock or self.clock,
            records={kind: dict(known) for kind, known in self.records.items()},
            counters=dict(self.counters),
            due=list(self.due),
            rates=dict(self.rates),
            keys=dict(self.keys),
            stored=dict(self.stored),
            buckets=dict(self.buckets),
            calls=list(self.calls),
            faults=deque(self.faults),
            locks=dict(self.locks),
            versions=dict(self.versions),
            endpoints=dict(self.endpoints),
            outbox=dict(self.outbox),
        )

    @property
    def seconds(self) -> int:
        """The present instant in seconds, as Stripe writes instants."""
        return self.now // SECOND

    def catch_up(self) -> None:
        """Do all work that has become due, each at its own instant, and arrive at the clock's instant."""
        target = self.clock()
        while self.due and self.due[0][0] <= target:
            at, _, work, arguments = heappop(self.due)
            self.now, self.cause = max(self.now, at), Cause()
            work(self, *arguments)
        self.now = max(self.now, target)

    def after(self, wait: int, work: Work, *arguments: Any) -> None:
        """Do work when ``wait`` milliseconds have passed; at once when it is 0."""
        if wait <= 0:
            work(self, *arguments)
            return
        heappush(self.due, (self.now + wait, self.count("work"), work, arguments))

    def count(self, what: str) -> int:
        """Return the next number of a series."""
        self.counters[what] = self.counters.get(what, 0) + 1
        return self.counters[what]

    def new_id(self, kind: str) -> str:
        """Return an id like Stripe's, counted."""
        return f"{PREFIXES[kind]}_{self.count(kind):024d}"

    def put(self, record: Record) -> Record:
        """Store a new record."""
        self.records[record["object"]][record["id"]] = record
        self._version(record)
        return record

    def change(self, record: Record | str, **changes: Any) -> Record:
        """Replace a record by one with other values, and return it."""
        changed = {**self.get(record if isinstance(record, str) else record["id"]), **changes}
        self.records[changed["object"]][changed["id"]] = changed
        self._version(changed)
        return changed

    def _version(self, record: Record) -> None:
        if record["object"] == "payment_intent":
            since = self.now - 2 * 3_600 * SECOND - self.behaviour.search_lag
            known = self.versions.get(record["id"], ())
            recent = tuple(one for one in known if one[0] >= since)
            last_old = (
                known[len(known) - len(recent) - 1 : len(known) - len(recent)] if len(known) > len(recent) else ()
            )
            self.versions[record["id"]] = (*last_old, *recent, (self.now, record))

    def find(self, name: str) -> Record | None:
        """Return the record with an id, of any kind; None when there is none."""
        kind = _KIND_OF.get(name.partition("_")[0])
        return self.records[kind].get(name) if kind else None

    def get(self, name: str) -> Record:
        """Return the record with an id that the double itself has written."""
        found = self.find(name)
        assert found is not None, name
        return found

    def named(self, kind: str, name: str, *, in_path: bool = True, param: str | None = None) -> Record:
        """Return a record that a request names.

        Raises: ``Refusal`` with 404 for an id in the path, and 400 for one in a parameter.
        """
        found = self.records[kind].get(name)
        if found is None:
            row = "resource_missing" if in_path else "resource_missing_parameter"
            message = f"No such {kind}: '{name}'"
            raise refusal(row, param=param or ("intent" if kind == "payment_intent" else "id"), message=message)
        return found


def wire(record: Record) -> dict[str, Any]:
    """Return a record as Stripe sends it, without the double's own keys."""
    return {name: value for name, value in record.items() if not name.startswith("_")}
