"""Idempotency keys of a purchase: recognise a repeated request, and write each request's change once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chalicelib.errors import Conflict, IdempotencyConflict
from chalicelib.ids import short_digest
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.holds import release_unreferenced
from chalicelib.purchase.model import IdempotencyRecord, Purchase
from chalicelib.purchase.store import Written
from chalicelib.stock import HoldRef, Pool

_MAX_UPDATE_RECORDS: Final = 8
"""Records of updates that a purchase keeps. It keeps those of its creation and of completions for ever."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A duplicate of the request was first."""

    existing: Purchase
    record: IdempotencyRecord


def replace_or_replay(
    context: CheckoutContext,
    purchase: Purchase,
    new_holds: list[tuple[Pool, HoldRef]],
    key_and_fingerprint: tuple[str, str],
) -> Written | Replayed:
    """Write the next version. After a refused write, release the new holds that the stored version does not name.

    Raises:
        Conflict: another request changed the purchase meanwhile.
    """
    answer = context.purchases.replace(purchase)
    if isinstance(answer, Written):
        return answer
    release_unreferenced(context.stock, new_holds, answer.existing)
    record = idempotency_record(answer.existing, *key_and_fingerprint)
    if record is None:
        raise changed_meanwhile()
    return Replayed(answer.existing, record)


def changed_meanwhile() -> Conflict:
    """Return the error for a request that lost against another change of the same purchase."""
    return Conflict("Another request changed the purchase meanwhile. Read it and try again.", code="changed")


def idempotency_record(purchase: Purchase, key: str, fingerprint: str) -> IdempotencyRecord | None:
    """Return the record of an earlier request with this key; None for a new key.

    Raises:
        IdempotencyConflict: the key was used with another body.
    """
    record = next((known for known in purchase.idempotency_records if known.key == short_digest(key)), None)
    if record:
        check_fingerprint(record.fingerprint, fingerprint)
    return record


def check_fingerprint(stored: str, given: str) -> None:
    """Compare the stored short digest of a body's fingerprint with a request's fingerprint.

    Raises:
        IdempotencyConflict: they differ.
    """
    if stored != short_digest(given):
        raise IdempotencyConflict


def with_idempotency_key(
    records: tuple[IdempotencyRecord, ...], key: str, fingerprint: str, attempt: int = 0, *, repriced: bool = False
) -> tuple[IdempotencyRecord, ...]:
    """Return the records with one more. The oldest records of updates go when there are too many."""
    of_updates = [record for record in records[1:] if not (record.attempt or record.repriced)]
    forgotten = of_updates[: -(_MAX_UPDATE_RECORDS - 1)]
    older = (record for record in records if record not in forgotten)
    added = IdempotencyRecord(
        key=short_digest(key), fingerprint=short_digest(fingerprint), attempt=attempt, repriced=repriced
    )
    return (*older, added)
