"""Check Invariant 4f: a decline counts once for each velocity key. Counts by drop may miss one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chalicelib.ids import log_reference
from tests.crashes.snapshot import Snapshot
from tests.providers import PaymentStatus


def decline_violations(state: Snapshot) -> Iterator[str]:
    """Check a world at rest whose buyers all have an e-mail address and a postal address."""
    attempts, by_drop = set[str](), Counter[str]()
    for payment in state.payments:
        if payment.status is PaymentStatus.DECLINED:
            attempts.add(f"{log_reference(payment.purchase_id)}.{payment.attempt}")
            by_drop.update(line.drop_id for line in state.purchases[payment.purchase_id].lines)
    for kind in ("e", "a"):
        counted = {
            name
            for velocity_key, item in state.declines.items()
            if velocity_key[0] == kind
            for name in item.keys() - _NOT_ATTEMPTS
        }
        if counted != attempts:
            yield f"kind {kind} counts the declines {sorted(counted)}, the provider has {sorted(attempts)}"
    for drop, risk in state.risks.items():
        if risk["declines"] > by_drop[drop]:
            yield f"{drop} counts {risk['declines']} declines of {by_drop[drop]}"


_NOT_ATTEMPTS = {"pk", "sk", "expires_at"}
