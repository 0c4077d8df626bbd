"""Look up the payment intents of an attempt: by id, by search, then by the list, which never lags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chalicelib.instants import HOUR, SECOND, Instant
from chalicelib.payments.events import MARK_KEY
from chalicelib.payments.gateway import NotCertainError
from chalicelib.payments.stripe.calls import StripeCalls
from chalicelib.payments.stripe.errors import Call, StripeAnswerError
from chalicelib.payments.stripe.intents import WITH_CHARGE, attempt_in

SEARCH_LAG: Final[Instant] = HOUR
"""The longest lag of Stripe's search, in an outage (https://docs.stripe.com/search#data-freshness)."""
PAGE_SIZE: Final = 100
MAX_PAGES: Final = 40
"""How many pages of the list one look-up reads. A longer list leaves the outcome unknown."""
CLOCK_SKEW: Final[Instant] = 10 * SECOND
"""How far Stripe's clock and the shop's may differ."""

_BEST_FIRST: Final = ("succeeded", "processing", "requires_capture", "requires_action", "requires_confirmation")


class IntentLookup:
    """Reads of payment intents by what they are for. ``mark`` names the shop in their metadata."""

    def __init__(self, calls: StripeCalls, mark: str) -> None:
        self._calls, self._mark = calls, mark

    def read(self, provider_id: str) -> Any | None:
        """Read an intent with its charge; None when Stripe has none of this id. One call."""
        return self._calls.read(Call.READ_INTENT, lambda api: api.payment_intents.retrieve(provider_id, WITH_CHARGE))

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Return the purchase and attempt that an intent is for; None for one of other software. One call."""
        intent = self.read(provider_id)
        return attempt_in(intent.metadata, self._mark) if intent is not None else None

    def of_attempt(
        self,
        purchase_id: str,
        attempt: int,
        *,
        now: Instant,
        provider_id: str | None = None,
        since: Instant | None = None,
        began_at: Instant | None = None,
    ) -> list[Any]:
        """Return the intents of an attempt as they are now, the one that counts first.

        Costs one call with ``provider_id``; else a search, a read of each intent found, and with ``began_at`` a page of
        the list for each hundred intents between the two instants. The list is not read for what began an hour ago, if
        the account has search.

        Raises:
            NotCertainError: nothing was found, and that is not certain for all that began before ``since``.
            OutcomeUnknownError: Stripe gave no readable answer.
        """
        wanted = (purchase_id, attempt)
        by_id = self.read(provider_id) if provider_id is not None else None
        if by_id is not None:  # the order or a signed event named it; staff may have edited its metadata since
            return [by_id]
        searched = self._search(wanted)
        found = searched or []
        is_old = since is not None and now - since >= SEARCH_LAG
        if any(one.status in _BEST_FIRST for one in found) or (is_old and searched is not None):
            return sorted(found, key=_rank)
        if began_at is not None:
            listed = self._list(wanted, began_at, min(now, since or now))
            if listed is not None:
                found = listed
            elif since is not None:
                raise NotCertainError("Too many payments began since the attempt to list them all.")
        if not found and since is not None and (began_at is None or now < since):
            raise NotCertainError("A payment may not be found yet, or a call may be under way.")
        return sorted(found, key=_rank)

    def _search(self, wanted: tuple[str, int]) -> list[Any] | None:
        """Search by metadata, and read each intent found: the search filters by an older copy.

        None: Stripe refuses to search. Accounts in India have no search (https://docs.stripe.com/search).
        """
        fields = {MARK_KEY: self._mark, "purchase": wanted[0], "attempt": str(wanted[1])}
        query = " AND ".join(f"metadata['{name}']:'{value}'" for name, value in fields.items())
        try:
            found = self._calls.run(Call.SEARCH_INTENTS, lambda api: api.payment_intents.search({"query": query}))
        except StripeAnswerError:
            return None
        return self._read_again(found.data, wanted)

    def _list(self, wanted: tuple[str, int], began_at: Instant, until: Instant) -> list[Any] | None:
        """List the intents between two instants, and read those of the attempt. None: there are too many."""
        created = {"gte": (began_at - CLOCK_SKEW) // SECOND, "lte": (until + CLOCK_SKEW) // SECOND}
        found: list[Any] = []
        for number, page in enumerate(self._pages({"created": created})):
            if number == MAX_PAGES:
                return None
            found += [one for one in page if attempt_in(one.metadata, self._mark) == wanted]
        return self._read_again(found, wanted)

    def _read_again(self, found: list[Any], wanted: tuple[str, int]) -> list[Any]:
        intents = [self.read(one.id) for one in found]
        return [one for one in intents if one is not None and attempt_in(one.metadata, self._mark) == wanted]

    def _pages(self, query: dict[str, Any]) -> Iterator[list[Any]]:
        return pages(self._calls, Call.LIST_INTENTS, "payment_intents", query)


def pages(calls: StripeCalls, call: Call, service: str, query: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the pages of a list, the newest objects first. One call each."""
    cursor: dict[str, Any] = {}
    while True:
        asked = {**query, **cursor, "limit": PAGE_SIZE}
        page = calls.read(call, lambda api, asked=asked: getattr(api, service).list(asked))  # type: ignore[misc]
        if page is None:
            return
        yield page.data
        if not page.has_more or not page.data:
            return
        cursor = {"starting_after": page.data[-1].id}


def _rank(intent: Any) -> tuple[int, int, str]:
    """Order the intents of one attempt, for every worker alike: captured, under way, authorised, and the oldest first.

    Of intents without money, the newest tells why the attempt failed.
    """
    place = _BEST_FIRST.index(intent.status) if intent.status in _BEST_FIRST else len(_BEST_FIRST)
    return place, intent.created if place < len(_BEST_FIRST) else -intent.created, intent.id
