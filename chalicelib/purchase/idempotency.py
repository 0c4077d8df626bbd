"""Idempotency keys of a purchase: recognise a repeated request, and write each request's change once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chalicelib.errors import Conflict, IdempotencyConflict
from chalicelib.ids import short_digest
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.holds import release_unreferenced
from chalicelib.purchase.model import IdempotencyRecord, Purchase
from chalicelib.purchase.requests import Message
from chalicelib.purchase.store import ROOM_AFTER_PLACING, Written
from chalicelib.stock import HoldRef, Pool

MAX_CHANGES: Final = 100
"""Requests that may change a purchase before it is placed: its creation, updates, and completions that only showed a
new total. Each leaves a record for the purchase's life, so that no repeat is taken for a new request. Attempts to pay
and a cancellation leave records beside them.
"""

TOO_MANY_CHANGES: Final = Message(
    "too_many_changes",
    "This purchase was changed too often. Nothing was changed. Create a new purchase to continue.",
    severity="unrecoverable",
)


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
        BadInput: the purchase is too large. Nothing was written, and the new holds are still there.
        Conflict: another request changed the purchase meanwhile.
    """
    answer = context.purchases.replace(purchase, room=ROOM_AFTER_PLACING)
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
    """Return the records with one more. None is ever forgotten; :func:`has_room_for_change` bounds them."""
    added = IdempotencyRecord(
        key=short_digest(key), fingerprint=short_digest(fingerprint), attempt=attempt, repriced=repriced
    )
    return (*records, added)


def has_room_for_change(purchase: Purchase) -> bool:
    """Return whether a purchase takes a further change that leaves a record. Attempts have a bound of their own."""
    return sum(not record.attempt for record in purchase.idempotency_records) < MAX_CHANGES
