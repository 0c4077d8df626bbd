"""Idempotency keys of a purchase: what a repeated request meets."""

from __future__ import annotations

from chalicelib.errors import Conflict, IdempotencyConflict
from chalicelib.ids import short_digest
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.holds import release_unreferenced
from chalicelib.purchase.model import IdempotencyRecord, Purchase
from chalicelib.purchase.store import Written
from chalicelib.stock import HoldRef, Pool


def replace_or_replay(
    context: CheckoutContext,
    purchase: Purchase,
    new_holds: list[tuple[Pool, HoldRef]],
    key_and_fingerprint: tuple[str, str],
) -> Purchase | None:
    """Write the next version. None when written; the purchase that stands there when the same request had won."""
    answer = context.purchases.replace(purchase)
    if isinstance(answer, Written):
        return None
    release_unreferenced(context.stock, new_holds, answer.existing)
    if idempotency_record(answer.existing, *key_and_fingerprint):
        return answer.existing
    raise Conflict("The purchase was changed by another request meanwhile; read it and try again.", code="changed")


_MAX_UPDATE_RECORDS = 8  # of updates; the first one and those of completions are kept for ever


def idempotency_record(purchase: Purchase, key: str, fingerprint: str) -> IdempotencyRecord | None:
    """Return the record of the request that was carried out with this idempotency key; None when there was none.

    Raises: ``IdempotencyConflict`` when that request had another body.
    """
    record = next((one for one in purchase.idempotency_records if one.key == short_digest(key)), None)
    if record and record.fingerprint != short_digest(fingerprint):
        raise IdempotencyConflict
    return record


def with_idempotency_key(
    records: tuple[IdempotencyRecord, ...], key: str, fingerprint: str, attempt: int = 0, *, repriced: bool = False
) -> tuple[IdempotencyRecord, ...]:
    """The keys with one more. Old keys of plain updates are forgotten; creation's and completions' never."""
    kept = [one for one in records[1:] if not (one.attempt or one.repriced)][-(_MAX_UPDATE_RECORDS - 1) :]
    permanent = (one for index, one in enumerate(records) if index == 0 or one.attempt or one.repriced or one in kept)
    added = IdempotencyRecord(
        key=short_digest(key), fingerprint=short_digest(fingerprint), attempt=attempt, repriced=repriced
    )
    return (*permanent, added)
