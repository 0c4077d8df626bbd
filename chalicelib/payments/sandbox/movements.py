"""The movements of the sandbox's balance: captures with their fees, refunds, their failures, and disputes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chalicelib.instants import Instant
from chalicelib.payments.results import Movement, MovementKind
from chalicelib.payments.sandbox.afterwards import (
    DISPUTE_FEE,
    DISPUTE_LASTS,
    DISPUTE_OPENS_AFTER,
    DISPUTE_TOKENS,
    REFUND_FAILS_AFTER,
    dispute_id_of,
    disputed_amount,
)
from chalicelib.payments.sandbox.store import CHARGE_PREFIX, ID_PREFIX, SandboxPayment


def movements_of(payments: Iterable[SandboxPayment], since: Instant, until: Instant) -> Iterator[Movement]:
    """Yield the movements of captured payments that were created at or after ``since`` and before ``until``."""
    for payment in payments:
        for movement in _movements_of_payment(payment):
            if since <= movement.created_at < until:
                yield movement


def balance_of(payments: Iterable[SandboxPayment], now: Instant) -> dict[str, int]:
    """Return the sum of all movements until ``now``, by currency. The sandbox pays nothing out."""
    sums: dict[str, int] = {}
    for movement in movements_of(payments, 0, now + 1):
        sums[movement.currency] = sums.get(movement.currency, 0) + movement.net
    return sums


def _movements_of_payment(payment: SandboxPayment) -> Iterator[Movement]:
    captured_at = payment.captured_at
    yield _movement(
        payment, MovementKind.CHARGE, payment.captured, payment.fee, captured_at, CHARGE_PREFIX + payment.id
    )
    for refund_id, amount in payment.refunds.items():
        made_at = payment.refunded_at.get(refund_id, captured_at)
        name = f"{ID_PREFIX}{payment.id}-{refund_id}"
        yield _movement(payment, MovementKind.REFUND, -amount, 0, made_at, name)
        if payment.behaviour == "refund_fails":
            yield _movement(payment, MovementKind.REFUND_FAILED, amount, 0, made_at + REFUND_FAILS_AFTER, name)
    if payment.behaviour in DISPUTE_TOKENS:
        name, opened_at = dispute_id_of(payment.id), captured_at + DISPUTE_OPENS_AFTER
        amount = disputed_amount(payment)
        yield _movement(payment, MovementKind.DISPUTE, -amount, DISPUTE_FEE, opened_at, name)
        if payment.behaviour == "dispute_won":
            closed_at = opened_at + DISPUTE_LASTS
            yield _movement(payment, MovementKind.DISPUTE_REVERSED, amount, 0, closed_at, name)


def _movement(
    payment: SandboxPayment, kind: MovementKind, amount: int, fee: int, created_at: Instant, source_id: str
) -> Movement:
    purchase_id, _, attempt = payment.id.partition("#")
    is_second = kind in {MovementKind.REFUND_FAILED, MovementKind.DISPUTE_REVERSED}
    return Movement(
        id=f"txn_{source_id}-{kind.value}" if is_second else f"txn_{source_id}",
        provider="sandbox",
        kind=kind,
        provider_type=kind.value,
        amount=amount,
        fee=fee,
        currency=payment.currency,
        created_at=created_at,
        source_id=source_id,
        payment_id=ID_PREFIX + payment.id,
        purchase_id=purchase_id,
        attempt=int(attempt),
        charged_amount=amount,
        charged_currency=payment.currency,
    )
