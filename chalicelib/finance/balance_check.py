"""Compare the ledger with the orders, entry by entry, for a business day or one show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

from chalicelib.finance.entries import entries_of
from chalicelib.finance.ledger_entry import EntryType, LedgerEntry, purchase_id_of_entry
from chalicelib.finance.movement_entries import is_movement_entry, movement_entry
from chalicelib.ids import order_id
from chalicelib.purchase import Purchase, PurchaseMovements, lost_amount, refunded_amount


@dataclass(frozen=True, slots=True)
class Scope:
    """A business day in the shop's time zone, or one show of it."""

    day: date
    time_zone: str
    show_id: str | None = None

    def includes(self, entry: LedgerEntry) -> bool:
        """Return whether an entry belongs to this day and show."""
        return entry.business_date == self.day.isoformat() and self.show_id in {None, entry.show_id}

    def entries(self, purchase: Purchase) -> list[LedgerEntry]:
        """Return the entries of a purchase in this scope."""
        return [entry for entry in entries_of(purchase, self.time_zone) if self.includes(entry)]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between the ledger and the orders. ``kind``:

    - ``mismatch``: the entry in the ledger differs from the entry that follows from the order
    - ``unknown``: the entry in the ledger follows from no order
    - ``conflict``: the ledger has two entries of one id with different contents
    - ``unbalanced``: the entries of an order do not add up to its totals and refunds
    """

    kind: str
    order_id: str
    entry_id: str | None
    columns: tuple[str, ...] = ()


@dataclass(slots=True)
class ExpectedLedger:
    """The entries that follow from the orders and movements of a scope, by id, and the orders paid in it."""

    entries: dict[str, LedgerEntry] = field(default_factory=dict)
    paid: dict[str, Purchase] = field(default_factory=dict)
    unbalanced: dict[str, Difference] = field(default_factory=dict)


def expected_ledger(scope: Scope, moved: Iterable[PurchaseMovements]) -> ExpectedLedger:
    """Derive a scope's entries from purchases and from the movements of the provider's balance."""
    expected = ExpectedLedger()
    for purchase, movements in ((one.purchase, one.movements) for one in moved):
        if purchase is not None and purchase.paid_at is not None:
            _add_purchase(expected, scope, purchase)
        entries = (movement_entry(movement, scope.time_zone) for movement in movements)
        expected.entries.update((entry.id, entry) for entry in entries if scope.includes(entry))
    return expected


def _add_purchase(expected: ExpectedLedger, scope: Scope, purchase: Purchase) -> None:
    entries = entries_of(purchase, scope.time_zone)
    inside = [entry for entry in entries if scope.includes(entry)]
    expected.entries.update((entry.id, entry) for entry in inside)
    if inside and not is_balanced(purchase, entries):
        public_id = order_id(purchase.id)
        expected.unbalanced[public_id] = Difference("unbalanced", public_id, None)
    if any(entry.entry_type in _SALE_ENTRY_TYPES for entry in inside):
        expected.paid[purchase.id] = purchase


_SALE_ENTRY_TYPES = {EntryType.SALE, EntryType.SHIPPING}
_CHARGEBACK_ENTRY_TYPES = {EntryType.CHARGEBACK, EntryType.CHARGEBACK_REVERSED}


def is_balanced(purchase: Purchase, entries: Iterable[LedgerEntry]) -> bool:
    """Return whether an order's entries add up to its total, to the refunds that the buyer has, and to its losses."""
    paid = refunded = lost = 0
    for entry in entries:
        if entry.entry_type in _SALE_ENTRY_TYPES:
            paid += entry.amount
        elif entry.entry_type in _CHARGEBACK_ENTRY_TYPES:
            lost -= entry.amount
        else:
            refunded -= entry.amount
    return (paid, refunded, lost) == (purchase.totals.total, refunded_amount(purchase), lost_amount(purchase))


def find_differences(
    scope: Scope,
    ledger: dict[str, LedgerEntry],
    conflicts: Iterable[str],
    expected: ExpectedLedger,
    read_purchase: Callable[[str], Purchase | None],
) -> list[Difference]:
    """Return the differences of a scope, sorted. Entries that the ledger lacks are no difference: the export adds them.

    The ledger is read before the orders, and an order may change in between. So each entry that differs is compared
    again with the present order, by one consistent read of each such order. A movement never changes.
    """
    suspects = {entry_id for entry_id, entry in ledger.items() if expected.entries.get(entry_id) != entry}
    changeable = {entry_id for entry_id in suspects if not is_movement_entry(entry_id)}
    fixed = suspects - changeable
    fresh = {entry_id: entry for entry_id, entry in expected.entries.items() if entry_id in fixed}
    for purchase_id in sorted({purchase_id_of_entry(entry_id) for entry_id in changeable}):
        purchase = read_purchase(purchase_id)
        if purchase is not None:
            fresh |= {entry.id: entry for entry in scope.entries(purchase)}
    found = list(expected.unbalanced.values())
    for entry_id in suspects:
        entry, current = ledger[entry_id], fresh.get(entry_id)
        if current is None:
            found.append(Difference("unknown", entry.order_id, entry_id))
        elif current != entry:
            before, after = entry.to_record(), current.to_record()
            columns = tuple(name for name in before if before[name] != after[name])
            found.append(Difference("mismatch", entry.order_id, entry_id, columns))
    found += [
        Difference("conflict", ledger[entry_id].order_id, entry_id) for entry_id in conflicts if entry_id in ledger
    ]
    return sorted(found, key=lambda one: (one.order_id, one.entry_id or "", one.kind))
