"""The sequential rules of one bucket: what each verb answers, and leaves behind, if nobody else is there.

Written from DESIGN §4 and not from the code: no expression, no retry, no pointer. A drop of one bucket has no strays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from chalicelib.stock import Committed, Gone, OrderRef, RevertedToHold, StaleEpoch
from tests.races.linearizable import RecordedOperation

MARGIN_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Hold:
    """Units under a hold id: held until an instant, or sold (None); perhaps an order's. Without units: a dead mark."""

    quantity: int
    until: int | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """One bucket: units available, holds by id (in order, so that equal shelves are equal), the last stock plan."""

    available: int
    holds: tuple[tuple[str, Hold], ...] = ()
    plan: int = 0

    def find(self, name: str) -> Hold | None:
        return dict(self.holds).get(name)

    def put(self, name: str, hold: Hold | None, back: int) -> Shelf:
        """With a hold in place of what stood there, and ``back`` units more available."""
        others = {other: one for other, one in self.holds if other != name}
        kept = others if hold is None else others | {name: hold}
        return replace(self, available=self.available + back, holds=tuple(sorted(kept.items(), key=lambda one: one[0])))


@dataclass(frozen=True, slots=True)
class Asked:
    """A verb on a hold id. ``quantity``: wanted, kept or left; ``seen``: what the buyer believes to have."""

    verb: str
    name: str = ""
    quantity: int = 0
    seen: int = 0
    order: OrderRef | None = None
    until: int = 0
    now: int = 0
    plan: int = 0


REFUSED = "refused"
"""Any refusal of a take: it rests on a summary up to a second old, and changes nothing."""


def of_shelf(shelf: Shelf, event: RecordedOperation) -> Iterator[Shelf]:
    """The shelves that an event may leave behind, if its answer can be right."""
    asked: Asked = event.operation
    for answer, after in _VERBS[asked.verb](shelf, asked):
        if not event.answered or event.answer == answer:
            yield after


_Outcome = tuple[Any, Shelf]


def _take(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    """Answers are ``(quantity, until, sold)``, or a refusal."""
    yield REFUSED, shelf
    own = shelf.find(asked.name)
    if own is None:
        held = (asked.quantity, asked.until, False)
        for over in _choices(shelf, asked.now):
            freed = sum(hold.quantity for _, hold in over)
            if shelf.available + freed >= asked.quantity:
                after = shelf
                for name, hold in over:
                    after = after.put(name, None, hold.quantity)
                yield held, after.put(asked.name, Hold(asked.quantity, asked.until), -asked.quantity)
    elif own.quantity:
        until = asked.until if own.until is None else own.until
        yield (own.quantity, until, own.until is None), shelf


def _choices(shelf: Shelf, now: int) -> Iterator[tuple[tuple[str, Hold], ...]]:
    """Which lapsed holds a take may take over: any of them."""
    lapsed = [
        (name, hold)
        for name, hold in shelf.holds
        if hold.quantity and hold.until is not None and hold.until + MARGIN_SECONDS < now
    ]
    for count in range(len(lapsed) + 1):
        yield from combinations(lapsed, count)


def _sell(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    own, order = shelf.find(asked.name), asked.order
    assert order is not None
    if own is None or own.quantity < asked.quantity or _is_anothers(own, order):
        yield Gone(), shelf
    elif own == Hold(asked.quantity, None, str(order)):
        yield Committed(asked.quantity), shelf
    elif own.order is not None and own.order >= str(order):
        yield StaleEpoch(), shelf
    else:
        surplus = own.quantity - asked.quantity
        yield Committed(asked.quantity), shelf.put(asked.name, Hold(asked.quantity, None, str(order)), surplus)


def _is_anothers(hold: Hold, order: OrderRef) -> bool:
    return hold.order is not None and not hold.order.startswith(order.order_ref)


def _hold_again(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    own, order = shelf.find(asked.name), asked.order
    assert order is not None
    if own is None or not own.quantity or _is_anothers(own, order):
        yield Gone(), shelf
    elif own.order is not None and own.order > str(order):
        yield StaleEpoch(), shelf
    else:
        yield RevertedToHold(asked.until), shelf.put(asked.name, Hold(own.quantity, asked.until, str(order)), 0)


def _release(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    own = shelf.find(asked.name)
    if own is None or not own.quantity:
        yield True, shelf
    elif (own.until is not None and own.order is None) or (asked.order is not None and own.order == str(asked.order)):
        yield True, shelf.put(asked.name, None, own.quantity)
    else:
        yield False, shelf


def _shrink(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    own = shelf.find(asked.name)
    if own is None or not own.quantity or own.until is None or own.quantity not in (asked.seen, asked.quantity):
        yield False, shelf
    else:
        yield True, shelf.put(asked.name, replace(own, quantity=asked.quantity), own.quantity - asked.quantity)


def _give_back(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    own = shelf.find(asked.name)
    ours = own is not None and own.until is None and own.order == str(asked.order)
    if own is None or not ours or own.quantity not in (asked.seen, asked.quantity):
        yield False, shelf
    else:
        yield True, shelf.put(asked.name, replace(own, quantity=asked.quantity), own.quantity - asked.quantity)


def _mark_dead(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    own = shelf.find(asked.name)
    if own is None:
        yield True, shelf.put(asked.name, Hold(0), 0)
    else:
        yield not own.quantity, shelf


def _add(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    if asked.plan > shelf.plan:
        yield True, replace(shelf, available=shelf.available + asked.quantity, plan=asked.plan)
    else:
        yield True, shelf


def _read(shelf: Shelf, asked: Asked) -> Iterator[_Outcome]:
    yield shelf, shelf


_VERBS: Mapping[str, Any] = {
    "take": _take,
    "commit": _sell,
    "revert_to_hold": _hold_again,
    "release": _release,
    "shrink": _shrink,
    "restock": _give_back,
    "mark_dead": _mark_dead,
    "add": _add,
    "read": _read,
}
