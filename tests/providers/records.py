"""Payments as a provider's own state has them, in one form for all providers. Money in minor units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class PaymentStatus(StrEnum):
    """The state of the buyer's money at the provider."""

    NOTHING = "nothing"
    WAITING = "waits for the buyer"
    RESERVED = "reserved"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"


@dataclass(frozen=True)
class RefundRecord:
    """A refund of captured money. ``failed``: the buyer did not get it, or it came back."""

    id: str
    amount: int
    refund_id: str | None = None
    failed: bool = False
    pending: bool = False


@dataclass(frozen=True)
class PaymentRecord:
    """One payment. ``name`` is the same in every run of a use case, while ``id`` may be a counted number."""

    id: str
    purchase_id: str
    attempt: int
    status: PaymentStatus
    amount: int = 0
    """The amount asked for."""
    captured: int = 0
    refunds: tuple[RefundRecord, ...] = ()
    left: int = 0
    """The captured money, less refunds and lost disputes."""

    @property
    def name(self) -> str:
        return f"{self.purchase_id}#{self.attempt}"

    @property
    def outcome(self) -> tuple[object, ...]:
        """Return the part that the intents of buyer and shop alone determine."""
        refunds = sorted((one.amount, one.refund_id or "", one.failed) for one in self.refunds)
        return self.status, self.captured, tuple(refunds)


_SANDBOX_STATUSES = {
    "lost": PaymentStatus.NOTHING,
    "requires_action": PaymentStatus.WAITING,
    "authorised": PaymentStatus.RESERVED,
    "captured": PaymentStatus.CAPTURED,
    "declined": PaymentStatus.DECLINED,
    "voided": PaymentStatus.VOIDED,
}


def sandbox_payments(items: Iterable[dict[str, Any]]) -> Iterator[PaymentRecord]:
    """Yield the payments in the sandbox's table."""
    for item in items:
        purchase_id, _, attempt = item["pk"].partition("#")
        name = f"sbx_{item['pk']}"
        failed = item.get("behaviour") == "refund_fails"  # a minute after each refund
        refunds = tuple(
            RefundRecord(f"{name}-{one}", amount, one, failed) for one, amount in item.get("refunds", {}).items()
        )
        status, captured = _SANDBOX_STATUSES[item["status"]], item.get("captured", 0)
        left = captured - sum(refund.amount for refund in refunds if not refund.failed)
        amount = item.get("amount", 0)
        yield PaymentRecord(name, purchase_id, int(attempt), status, amount, captured, refunds, left)


@dataclass(frozen=True)
class MovementRecord:
    """A movement of the shop's balance at a provider. ``net`` is what the balance changed by."""

    id: str
    net: int
    created_at: int


def sandbox_movements(items: Iterable[dict[str, Any]]) -> Iterator[MovementRecord]:
    """Yield the movements in the sandbox's table: each capture less its fee, and each refund."""
    for item in items:
        if item["status"] != "captured":
            continue
        yield MovementRecord(f"txn_sbx_ch_{item['pk']}", item["captured"] - item["fee"], item["captured_at"])
        for refund_id, amount in item.get("refunds", {}).items():
            made_at = item.get("refunded_at", {}).get(refund_id, item["captured_at"])
            yield MovementRecord(f"txn_sbx_{item['pk']}-{refund_id}", -amount, made_at)
