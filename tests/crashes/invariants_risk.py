"""Check Invariant 4f: a decline counts once for each velocity key. Counts by drop may miss one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chalicelib.ids import log_reference
from tests.crashes.snapshot import Snapshot


def decline_violations(state: Snapshot) -> Iterator[str]:
    """Check a world at rest whose buyers all have an e-mail address and a postal address."""
    attempts, by_drop = set[str](), Counter[str]()
    for payment_id, payment in state.payments.items():
        if payment["status"] == "declined":
            purchase_id, _, attempt = payment_id.partition("#")
            attempts.add(f"{log_reference(purchase_id)}.{attempt}")
            by_drop.update(line.drop_id for line in state.purchases[purchase_id].lines)
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
