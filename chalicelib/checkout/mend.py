"""Mending what an audit found, beside a running sale: each step is one conditional write that may come twice or late.

Why each step harms nobody, whoever else is at work on the same units:

- *unnamed*: freed only if the hold is, whole, as it was seen. Whoever took it died more than a minute ago. Its client
  may ask again meanwhile and be shown this hold: its purchase then names a hold that is gone, and completing it takes
  units anew or ends in ``out_of_stock``, as after any lapse. It is removed, not marked dead: the repeat may take anew.
- *given up*, *no order*: a purchase that is cancelled stays so, and one that has stopped naming a hold never names it
  again (a hold's id holds the version that took it). Freed as seen, with a dead mark where an order had it: a doubled
  worker's late sell then meets no hold, and a late take cannot bring one back for it to sell.
- *sold to open*: held again at the purchase's present epoch until its hold ends. When the buyer completes meanwhile,
  the freeze has raised the epoch: its sell supersedes this write, or this write is refused by the later epoch. A late
  sell of the attempt that ended is refused from here on.
- *surplus*: the hold shrinks to what the purchase claims, or sold units go back, if it has the quantity that was seen.
- *unsold*: the capture worker is told again; it may be told twice.
- *paid, unsold*: sold to the order again; where a hold stands at the very epoch, the epoch is raised in the purchase
  first, over exactly the version that was read, as the capture worker does it. Whoever dies in between leaves units
  sold at an earlier epoch, which the next repair sells again.
- *paid, gone*, and *foreign* ones: not mended. The audit has told them; paid ones by a metric and an error in the log.
- *miscounts* of limits: the sum is written anew, and entries of purchases that do not exist leave, over exactly the
  entries that were seen. What a purchase that was freed here still counts for its buyer is forgotten as any dead entry
  is, by the completion that needs the room. A unit that nobody counts, or one too many, is told and let be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from chalicelib.checkout.audit import DropAudit, Enough, Found, audit
from chalicelib.checkout.claims import Claim, Fault, claims_of
from chalicelib.checkout.model import PurchaseState
from chalicelib.checkout.tallies import Miscount, without_ghosts
from chalicelib.checkout.till import CheckoutContext, layout_of, next_version, order_of
from chalicelib.errors import LivedropError
from chalicelib.instants import SECOND, Instant
from chalicelib.stock import HoldRef, HoldStatus, Layout, RevertedToHold, Sold
from chalicelib.telemetry import logger

EnqueueCapture = Callable[[str, int], None]
_NOBODYS = frozenset({Fault.UNNAMED, Fault.NO_ORDER, Fault.GIVEN_UP})
_FOR_PEOPLE = frozenset({Fault.PAID_GONE, Fault.FOREIGN})


@dataclass(slots=True)
class Mended:
    """What a repair did. ``left`` was changed by others meanwhile, or not reached in time: look again.

    ``not_mended`` is for people: paid units that are gone, units under another's name, limits that did not hold.
    """

    plan_finished: bool = False
    summary_refreshed: bool = False
    freed: int = 0
    held_again: int = 0
    shrunk: int = 0
    sold_again: int = 0
    enqueued: int = 0
    counted_anew: int = 0
    not_mended: int = 0
    left: int = 0


def mend(
    context: CheckoutContext, drop_id: str, enqueue_capture: EnqueueCapture, now: Instant, enough: Enough
) -> tuple[DropAudit, Mended]:
    """Audit a drop and mend what was found. Safe at any time, twice, or beside a sale.

    ``NotFound``. Costs an audit, 1 WCU a hold, and 1 RCU a bucket for a fresh summary; ends early when ``enough`` says
    so. The audit says what was found before; ask for another to see what is left.
    """
    record = context.shows.on_record(drop_id)
    planned = record is not None and record.plan is not None
    if planned:
        context.shows.finish_plan(drop_id, now)
    found = audit(context, drop_id, now, enough)
    mending = _Mending(context, found.drop.layout, enqueue_capture, now, Mended(plan_finished=planned))
    steps: list[tuple[str, Callable[[], bool]]] = [(one.fault, partial(mending.one, one)) for one in found.found]
    steps += [(one.fault, partial(mending.tally, one)) for one in found.miscounts]
    for fault, step in steps:
        try:
            done = not enough() and step()
        except LivedropError as error:
            logger.warning("not mended", extra={"drop": drop_id, "fault": fault, "reason": error.code})
            done = False
        mending.done.left += not done
    live, fresh = found.stock.live, context.stock.refresh(found.drop.layout, now)
    mending.done.summary_refreshed = live is None or replace(fresh, as_of=live.as_of) != live
    logger.info("drop mended", extra={"drop": drop_id, "found": len(steps), "left": mending.done.left})
    return found, mending.done


@dataclass(slots=True)
class _Mending:
    """One repair of one drop. Each step answers False when others changed what it was to mend."""

    context: CheckoutContext
    layout: Layout
    enqueue_capture: EnqueueCapture
    now: Instant
    done: Mended
    seen_to: set[str] = field(default_factory=set)
    """Purchases of which all holds were mended with the first."""

    def one(self, found: Found) -> bool:
        status, claim = found.status, found.claim
        if found.fault is Fault.GONE:
            return True  # its buyer takes anew, or is told so, when completing
        if found.fault in _FOR_PEOPLE:
            self.done.not_mended += 1
            return True
        if status is not None and found.fault in _NOBODYS:
            freed = self.context.stock.release_orphan(self.layout, found.hold_id, status)
            self.done.freed += freed
            return freed
        assert claim is not None
        if found.fault in {Fault.UNSOLD, Fault.PAID_UNSOLD}:
            return self._as_a_whole(found.fault, claim)
        assert status is not None
        ref = _ref(found.hold_id, status)
        return self._revert_to_hold(ref, claim) if found.fault is Fault.SOLD_TO_OPEN else self._shrink(ref, claim)

    def tally(self, found: Miscount) -> bool:
        if not found.mendable:
            self.done.not_mended += 1
            return True
        seen = found.tallied
        ghosts = set(found.purchases) - self.context.purchases.read_all(found.purchases).keys()
        kept = without_ghosts(seen.tally, ghosts)
        limits, at = self.context.limits, self.now // SECOND
        counted = limits.exchange(seen.buyer, self.layout.drop_id, seen.tally, kept, at) is None
        self.done.counted_anew += counted
        return counted

    def _as_a_whole(self, fault: Fault, claim: Claim) -> bool:
        if claim.purchase_id in self.seen_to:
            return True
        self.seen_to.add(claim.purchase_id)
        if fault is Fault.UNSOLD:
            self.enqueue_capture(claim.purchase_id, claim.attempt)
            self.done.enqueued += 1
            return True
        sold = _sell_again(self.context, claim.purchase_id, self.now)
        self.done.sold_again += sold
        return sold

    def _revert_to_hold(self, ref: HoldRef, claim: Claim) -> bool:
        assert claim.hold is not None
        expires_at = max(claim.hold.expires_at, self.now // SECOND)
        reverted = isinstance(
            self.context.stock.revert_to_hold(self.layout, ref, claim.order, expires_at), RevertedToHold
        )
        self.done.held_again += reverted
        return reverted

    def _shrink(self, ref: HoldRef, claim: Claim) -> bool:
        if claim.state is PurchaseState.PAID:
            shrunk = self.context.stock.restock(self.layout, ref, claim.order, ref.quantity, claim.most)
        else:
            shrunk = self.context.stock.shrink(self.layout, ref, claim.most)
        self.done.shrunk += shrunk
        return shrunk


def _ref(hold_id: str, status: HoldStatus) -> HoldRef:
    return HoldRef(hold_id, status.bucket, status.quantity, status.expires_at or 0)


def _sell_again(context: CheckoutContext, purchase_id: str, now: Instant) -> bool:
    """Sell all units of a paid order to it. An order's units have one epoch: all of them are sold at the raised one."""
    purchase = context.purchases.read(purchase_id)
    if purchase is None or purchase.state is not PurchaseState.PAID:
        return False
    claims = [(layout_of(line), claim) for line in purchase.lines for claim in claims_of(purchase, line.drop_id)]
    named = [(layout, claim.hold, claim) for layout, claim in claims if claim.hold is not None and claim.most]
    statuses = context.stock.get_hold_statuses([(layout, hold) for layout, hold, _ in named])
    order = order_of(purchase)
    if any(one is not None and one.expires_at is not None and one.order == str(order) for one in statuses):
        raised = next_version(purchase, now, epoch=purchase.epoch + 1)
        if context.purchases.replace(raised) is not None:
            return False
        order = order_of(raised)
    whole = True
    for (layout, hold, claim), status in zip(named, statuses, strict=True):
        if status is None or status.quantity < claim.least:
            continue  # gone: told as such
        keep = min(claim.most, status.quantity)  # a refund that is not done may have given units back
        answer = context.stock.sell(layout, _ref(hold.id, status), keep, order)
        whole = whole and isinstance(answer, Sold)
    return whole
