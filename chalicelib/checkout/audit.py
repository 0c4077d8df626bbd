"""Audit: every unit of a drop against the purchases, and everything that does not match. It writes nothing.

Nothing is called wrong because it was read at two times: buckets are read before purchases, as every unit is sold or
held for longer than a minute only after its purchase was written; what was written within the last minute is let be,
so that all purchases which are judged stood at the audit's beginning as they were read; and each fault of a hold counts
only when a second strong reading of the bucket, and of the purchases of all shows, still has it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from chalicelib.checkout.audit_store import Tallied, pages
from chalicelib.checkout.claims import Claim, Fault, Patience, bare_claim, claims_of, judge, order_ref
from chalicelib.checkout.identity import log_reference
from chalicelib.checkout.model import Purchase, PurchaseState
from chalicelib.checkout.tallies import Bought, Miscount, bought, judge_tallies
from chalicelib.checkout.till import CheckoutContext
from chalicelib.errors import Contended, NotFound
from chalicelib.instants import Instant
from chalicelib.shows import Drop, OnRecord
from chalicelib.stock import Audit, EpochSeconds, HoldRef, HoldStatus, StockPlan, Summary, has_expired_hold
from chalicelib.telemetry import count, logger

_TRIES = 10
_UNNAMED_SIDE = frozenset(
    {Fault.UNNAMED, Fault.NO_ORDER, Fault.GIVEN_UP, Fault.SOLD_TO_OPEN, Fault.SURPLUS, Fault.FOREIGN}
)

Enough = Callable[[], bool]
"""Whether the time that a call may take is used up."""


@dataclass(frozen=True, slots=True)
class Found:
    """A fault of one hold: how it stands (None: gone), and what the purchase says (None: there is none)."""

    fault: Fault
    hold_id: str
    status: HoldStatus | None
    claim: Claim | None

    @property
    def unnamed(self) -> bool:
        """Whether units stand in a bucket that no purchase claims; else a purchase claims units that do not stand."""
        return self.fault in _UNNAMED_SIDE

    @property
    def sentence(self) -> str | None:
        """For an operator, where it does not mend itself: sold units that nobody bought, paid ones not to be had."""
        status, claim = self.status, self.claim
        if status is not None and self.unnamed and (status.expires_at is None or self.fault is Fault.FOREIGN):
            whose = "an order that does not exist" if claim is None else claim.told
            if self.fault is Fault.FOREIGN:
                whose = f"order {status.order}, not to {whose}"
            where = f"hold {self.hold_id}: {status.quantity} units in bucket {status.bucket}"
            return f"{where} are sold to {whose} ({self.fault})"
        if claim is not None and claim.state is PurchaseState.PAID:
            units = 0 if status is None else status.quantity
            where = f"hold {self.hold_id}: {units} of {claim.most} units"
            return f"{where} of {claim.told} ({self.fault})"
        return None


@dataclass(slots=True)
class DropAudit:
    """What an audit of a drop found. ``complete``: all purchases were read; else nothing is called unnamed."""

    drop: Drop
    now: Instant
    stock: Audit
    plan: StockPlan | None
    complete: bool
    purchases: int = 0
    """Purchases with units of the drop."""
    owners: dict[str, Claim] = field(default_factory=dict)
    """Who has a hold, by its id."""
    found: list[Found] = field(default_factory=list)
    buyers: int = 0
    """Buyers for whom units of the drop are counted, where it has a limit."""
    miscounts: list[Miscount] = field(default_factory=list)
    mismatches: tuple[str, ...] = ()

    @property
    def summary_differs(self) -> bool:
        """Whether the live summary says something else than the buckets. In a sale it follows within a second."""
        live = self.stock.live
        return live is None or _sums(live) != _sums(self.stock)


@dataclass(slots=True)
class _Names:
    """What purchases claim: by hold id, and by the reference of those orders that buckets name."""

    by_hold: dict[str, Claim] = field(default_factory=dict)
    by_order: dict[str, Claim] = field(default_factory=dict)
    bounds: set[EpochSeconds] = field(default_factory=set)
    bought: dict[str, Bought | None] = field(default_factory=dict)
    tallies: list[Tallied] = field(default_factory=list)
    purchases: int = 0
    latest: Instant = 0
    """When a purchase of the show was last written."""
    complete: bool = True

    def of(self, hold_id: str, status: HoldStatus | None) -> Claim | None:
        order = None if status is None or status.order is None else order_ref(status.order)
        return self.by_hold.get(hold_id) or (None if order is None else self.by_order.get(order))

    def learn(self, purchase: Purchase, drop_id: str | None) -> bool:
        """Take a purchase in; whether it claims something of the drop (None: of any)."""
        claims = {claim.hold.id: claim for claim in claims_of(purchase, drop_id) if claim.hold is not None}
        self.by_hold |= claims
        self.bounds |= {line.max_hold_until for line in purchase.lines if drop_id in {None, line.drop_id}}
        self.latest = max(self.latest, purchase.updated_at)
        return bool(claims)


def audit(context: CheckoutContext, drop_id: str, now: Instant, enough: Enough, *, purchases: bool = True) -> DropAudit:
    """Compare a drop's buckets with its record, its purchases and its summary. ``NotFound``; writes nothing.

    Costs 1 RCU a bucket and a scan of the whole commerce table (1 RCU for each 4 KB of it), which ends early, with
    ``complete`` False, when ``enough`` says so; without ``purchases`` only the buckets. What seems wrong is read again:
    1 RCU a bucket and a purchase of it, and the scan once more where units seem to be nobody's.
    """
    record, stock = _counted(context, drop_id, now)
    drop = record.drop
    found = DropAudit(drop, now, stock, record.plan, complete=False, mismatches=stock.mismatches)
    if not purchases:
        return found
    statuses = dict(stock.hold_statuses)
    names = _names(context, drop, statuses.values(), enough)
    found.purchases = names.purchases
    found.owners = {hold: claim for hold in statuses if (claim := names.of(hold, statuses[hold]))}
    patience = Patience(now, drop.hold_seconds, record.changed_at, frozenset(names.bounds))
    suspects = _judged(statuses.keys() | names.by_hold.keys(), statuses, names, patience)
    found.found = _confirmed(context, drop, suspects, names, patience, enough)
    found.complete = names.complete
    found.buyers = len(names.tallies)
    found.miscounts = judge_tallies(names.tallies, names.bought, now, complete=names.complete)
    _tell_what_is_gone(found)
    sentences = [one.sentence for one in found.found] + [one.sentence for one in found.miscounts]
    found.mismatches += tuple(sentence for sentence in sentences if sentence is not None)
    found.mismatches += tuple(_of_the_drop(context, found, record, names.latest, patience))
    return found


def _tell_what_is_gone(found: DropAudit) -> None:
    """Paid units that are gone cannot be mended: whoever operates the shop has to hear of them."""
    for one in found.found:
        if one.fault is Fault.PAID_GONE and one.claim is not None:
            count("paid_units_gone", one.claim.least - (one.status.quantity if one.status else 0))
            extra = {"drop": found.drop.id, "hold": one.hold_id, "purchase": log_reference(one.claim.purchase_id)}
            logger.error("units of a paid order are gone", extra=extra)


def _counted(context: CheckoutContext, drop_id: str, now: Instant) -> tuple[OnRecord, Audit]:
    """The record and the buckets, read while the record stayed as it was: a plan changes both."""
    record = context.shows.on_record(drop_id)
    for _ in range(_TRIES):
        if record is None:
            raise NotFound("There is no such drop.", field="id")
        counted = context.stock.audit(record.drop.layout, record.drop.stock, now, record.plan)
        after = context.shows.on_record(drop_id)
        if after == record or not counted.mismatches:
            return record, counted
        record = after
    raise Contended("The drop is being changed by others again and again.")


def _names(
    context: CheckoutContext, drop: Drop, statuses: Iterable[HoldStatus], enough: Enough, *, all_shows: bool = False
) -> _Names:
    """What the purchases of the drop's show claim of it, as far as there is time.

    Of ``all_shows``: whatever any purchase claims, so that nothing is called nobody's that somebody names anywhere.
    """
    orders = {order_ref(one.order) for one in statuses if one.order is not None}
    names = _Names()
    for page in pages(context.purchases, drop.id, None if all_shows else drop.show_id):
        if enough():
            names.complete = False
            break
        names.tallies += page.tallies
        for purchase in page.purchases:
            names.purchases += names.learn(purchase, None if all_shows else drop.id)
            names.bought |= bought(purchase, drop.id)
            if purchase.order_ref in orders:
                names.by_order[purchase.order_ref] = bare_claim(purchase)
    return names


def _judged(holds: Iterable[str], statuses: dict[str, HoldStatus], names: _Names, patience: Patience) -> list[Found]:
    found = []
    for hold_id in sorted(holds):
        status = statuses.get(hold_id)
        claim = names.of(hold_id, status)
        fault = judge(status, claim, patience) if claim is not None or names.complete else None
        if fault is not None:
            found.append(Found(fault, hold_id, status, claim))
    return found


def _confirmed(
    context: CheckoutContext, drop: Drop, suspects: list[Found], names: _Names, patience: Patience, enough: Enough
) -> list[Found]:
    """Those of the suspects that a second reading of both sides shows too. Cut short, ``names`` are not complete."""
    if not suspects:
        return []
    refs = [(drop.layout, _ref(one)) for one in suspects]
    read_again = {
        one.hold_id: status for one, status in zip(suspects, context.stock.get_hold_statuses(refs), strict=True)
    }
    statuses = {hold_id: standing for hold_id, standing in read_again.items() if standing is not None}
    nobodys = any(one.claim is None and one.hold_id in statuses for one in suspects)
    again = _names(context, drop, statuses.values(), enough, all_shows=True) if nobodys else _Names()
    for purchase_id in sorted({one.claim.purchase_id for one in suspects if one.claim is not None}):
        if enough():
            again.complete = False
            break
        purchase = context.purchases.read(purchase_id)
        if purchase is not None:
            again.by_order[purchase.order_ref] = bare_claim(purchase)
            again.learn(purchase, drop.id)
    names.complete = names.complete and again.complete
    patience = replace(patience, bounds=patience.bounds | again.bounds)
    first = {one.hold_id: one.fault for one in suspects}
    return [one for one in _judged(first, statuses, again, patience) if one.fault is first[one.hold_id]]


def _ref(one: Found) -> HoldRef:
    """Where to look for a hold."""
    if one.status is not None:
        return HoldRef(one.hold_id, one.status.bucket, one.status.quantity, one.status.expires_at or 0)
    assert one.claim is not None
    assert one.claim.hold is not None
    return one.claim.hold


def _of_the_drop(
    context: CheckoutContext, found: DropAudit, record: OnRecord, latest: Instant, patience: Patience
) -> Collection[str]:
    """A plan that nobody carries out, and a summary that is behind although nothing has happened for a minute."""
    sentences = []
    if record.plan is not None and not patience.leaves(record.changed_at):
        sentences.append(f"stock plan {record.plan.number} of {record.plan.quantity} units was not carried out")
    young = any(one.expires_at is not None and patience.leaves_hold(one) for _, one in found.stock.hold_statuses)
    quiet = found.complete and not young and not patience.leaves(latest) and not patience.leaves(record.changed_at)
    if quiet and _behind(found.stock, patience):
        again = context.stock.audit(record.drop.layout, record.drop.stock, patience.now, record.plan)
        if _behind(again, patience):
            sentences.append("the live summary is not what the buckets add up to, and nothing changed for a minute")
    return sentences


def _behind(stock: Audit, patience: Patience) -> bool:
    live = stock.live
    if live is None:
        return True
    if patience.leaves(live.as_of) or has_expired_hold(live, patience.now):
        return False
    return _sums(live) != _sums(stock)


def _sums(one: Summary | Audit) -> tuple[int, int, int, int]:
    return one.size, one.available, one.held, one.sold
