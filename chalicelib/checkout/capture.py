"""Capture: the worker that makes sure of the goods, asks for the money, and marks the purchase paid.

It may run twice at once, late, or after dying anywhere; the end is that of one run. The order of its steps is the
outcome of a schedule search (DESIGN §5): goods before money, units held again before an attempt is ended, an
authorisation found means an earlier run of this attempt, so the units are sold anew at a higher epoch before capture.
"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.checkout.identity import reference
from chalicelib.checkout.model import Line, Payment, Purchase, State
from chalicelib.checkout.till import Till, holds_of, layout_of, next_version, order_of
from chalicelib.errors import Contended
from chalicelib.instants import Instant
from chalicelib.payments import Authorised, Captured, CaptureRefused, Declined, PaymentOrder
from chalicelib.stock import Gone, Sold
from chalicelib.telemetry import count, logger

AFTER_DECLINE_SECONDS = 300
"""How long units stay held for another try after an attempt ended without money."""


def capture(till: Till, ours: str, attempt: int, now: Instant) -> None:
    """Bring one attempt to its end: paid, or open again with the reason. Nothing to do when it has ended.

    Plain path: one read of the purchase, a batched read of its buckets, authorise, capture, one write.
    Raises when it must be tried again: the provider's outcome is unknown, or another worker came in between.
    """
    purchase = till.purchases.read(ours)
    if purchase is None:
        logger.error("no such purchase", extra={"purchase": reference(ours)})
        return
    if purchase.state is not State.PLACED or purchase.attempt != attempt:
        _void_leftover(till, purchase, attempt, now)
        return
    purchase, all_sold = _goods(till, purchase, now)
    if not all_sold:
        _end(till, purchase, "out_of_stock", None, now)
        return
    _money(till, purchase, now)


def _void_leftover(till: Till, purchase: Purchase, attempt: int, now: Instant) -> None:
    """An attempt that is not the purchase's to pay any more must leave no authorisation standing."""
    if purchase.state is State.PAID and purchase.attempt == attempt:
        return
    found = till.gateway.find(purchase.id, attempt, now=now)
    if isinstance(found, Captured):
        logger.error("captured without an order", extra={"purchase": reference(purchase.id), "attempt": attempt})
        count("captures_without_order")
    if isinstance(found, Authorised):
        _void(till, found, attempt, now)
        logger.warning(
            "voided a left-over authorisation", extra={"purchase": reference(purchase.id), "attempt": attempt}
        )
        count("authorisations_voided")


def _void(till: Till, authorised: Authorised, attempt: int, now: Instant) -> None:
    if not till.gateway.void(authorised.provider_id, attempt=attempt, now=now):
        raise Contended("The attempt was captured by another worker.")


def _goods(till: Till, purchase: Purchase, now: Instant) -> tuple[Purchase, bool]:
    """The purchase, perhaps at a higher epoch, and whether every unit of it is sold to it at that epoch."""
    named, order = holds_of(purchase), order_of(purchase)
    standings = till.stock.look(named)
    held_again = any(s and s.until is not None and s.order == str(order) for s in standings)
    if held_again:
        purchase = _raised(till, purchase, now)
        order = order_of(purchase)
    for (layout, hold), standing in zip(named, standings, strict=True):
        if standing and standing.until is None and standing.order == str(order) and standing.quantity == hold.quantity:
            continue
        answer = till.stock.sell(layout, hold, hold.quantity, order)
        if isinstance(answer, Gone):
            return purchase, False
        if not isinstance(answer, Sold):
            raise Contended("Another worker moves this purchase.")
    promised = sum(line.quantity for line in purchase.lines)
    return purchase, sum(hold.quantity for _, hold in named) == promised


def _raised(till: Till, purchase: Purchase, now: Instant) -> Purchase:
    """The purchase one epoch on: what an older worker still sends for it is refused from here on."""
    raised = next_version(purchase, now, epoch=purchase.epoch + 1)
    _write(till, raised)
    return raised


def _money(till: Till, purchase: Purchase, now: Instant) -> None:
    payment = purchase.payment
    if payment is None or payment.token is None:
        raise Contended("A placed purchase without an instrument cannot be paid.")
    order = PaymentOrder(
        purchase_id=purchase.id,
        attempt=purchase.attempt,
        amount=purchase.totals.total,
        currency=purchase.currency,
        token=payment.token,
        metadata=_metadata(purchase),
    )
    authorised = till.gateway.authorise(order, now=now)
    if isinstance(authorised, Declined):
        count("payments_declined")
        _end(till, purchase, authorised.code, authorised.provider_id, now)
        return
    if authorised.found:
        purchase = _raised(till, purchase, now)
        purchase, all_sold = _goods(till, purchase, now)
        if not all_sold:
            _end(till, purchase, "out_of_stock", authorised.provider_id, now)
            return
    captured = till.gateway.capture(
        authorised.provider_id, attempt=purchase.attempt, amount=purchase.totals.total, now=now
    )
    if isinstance(captured, CaptureRefused):
        _end(till, purchase, captured.code, captured.provider_id, now)
        return
    _paid(till, purchase, payment, captured, now)


def _metadata(purchase: Purchase) -> dict[str, str]:
    """What the provider keeps beside a payment: ids only, so that it can be found again and told apart."""
    about = {"show": purchase.show_id, "channel": purchase.channel}
    named = {"purchase": purchase.id, "reference": reference(purchase.id), **about}
    return {name: value for name, value in named.items() if value}


def _paid(till: Till, purchase: Purchase, payment: Payment, captured: Captured, now: Instant) -> None:
    settled = payment.model_copy(
        update={
            "token": None,
            "provider_id": captured.provider_id,
            "charge_id": captured.charge_id,
            "fee": captured.fee,
            "failure": None,
        }
    )
    _write(till, next_version(purchase, now, state=State.PAID, payment=settled, paid_at=now))
    count("orders_paid")
    count("units_sold", sum(line.quantity for line in purchase.lines))
    logger.info("order paid", extra={"purchase": reference(purchase.id), "attempt": purchase.attempt})


def _end(till: Till, purchase: Purchase, failure: str, provider_id: str | None, now: Instant) -> None:
    """End an attempt without money: units held again for a while, nothing left reserved, and the purchase open again.

    In this order: written first, a doubled worker could sell units for an attempt that has ended, and strand them.
    """
    lines = tuple(_held_again(till, purchase, line, now) for line in purchase.lines)
    found = till.gateway.find(purchase.id, purchase.attempt, now=now)
    if isinstance(found, Captured):
        raise Contended("The attempt was captured by another worker.")
    if isinstance(found, Authorised):
        _void(till, found, purchase.attempt, now)
    payment = purchase.payment
    if payment is not None:
        payment = payment.model_copy(update={"token": None, "provider_id": provider_id, "failure": failure})
    _write(till, next_version(purchase, now, state=State.OPEN, payment=payment, lines=lines))
    logger.info(
        "attempt ended", extra={"purchase": reference(purchase.id), "attempt": purchase.attempt, "failure": failure}
    )


def _held_again(till: Till, purchase: Purchase, line: Line, now: Instant) -> Line:
    """The line with its units held for another try, never beyond what it may hold; those that are gone are left out."""
    until = min(now // 1000 + AFTER_DECLINE_SECONDS, line.no_hold_beyond)
    order, layout, holds = order_of(purchase), layout_of(line), []
    for hold in line.holds:
        if not isinstance(till.stock.hold_again(layout, hold, order, until), Gone):
            holds.append(replace(hold, until=until))
        elif not till.stock.mark_dead(layout, hold.id):
            raise Contended("A hold that was gone has come back by a late take.")
    return line.model_copy(update={"holds": tuple(holds), "price_until": max(line.price_until, until * 1000)})


def _write(till: Till, purchase: Purchase) -> None:
    standing = till.purchases.replace(purchase)
    if standing is not None:
        raise Contended("Another worker moved this purchase.")
