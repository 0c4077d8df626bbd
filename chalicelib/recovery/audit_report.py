"""Report an audit to operators, by HTTP and by the command line: complete sums, bounded lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import islice
from typing import Any

from chalicelib.ids import log_reference
from chalicelib.instants import SECOND, UnixSeconds, rfc3339
from chalicelib.recovery.discrepancies import Discrepancy, DropAudit
from chalicelib.recovery.expected_holds import ExpectedHold
from chalicelib.recovery.repair_drop import RepairReport
from chalicelib.stock import HoldStatus

MAX_DETAIL = 5_000
"""How many entries a list may have. They take some 1 MB; API Gateway and Lambda return 6 MB at most."""


def build_audit_report(
    audit: DropAudit, *, detail: int, from_bucket: int = 0, repair: RepairReport | None = None
) -> dict[str, Any]:
    """Return the audit as JSON. Each list has its first ``detail`` entries; ``counts`` has the length of each.

    ``buckets`` and ``holds`` begin at ``from_bucket``, so that a client can read on from the last bucket it has.
    """
    stock, now_seconds = audit.stock, audit.now // SECOND
    buckets = (asdict(sums) for sums in stock.buckets if sums.bucket >= from_bucket)
    holds = ((hold_id, status) for hold_id, status in stock.hold_statuses if status.bucket >= from_bucket)
    unreferenced = [found for found in audit.discrepancies if found.is_unreferenced]
    missing = [found for found in audit.discrepancies if not found.is_unreferenced]
    report: dict[str, Any] = {
        "drop_id": audit.drop.id,
        "as_of": rfc3339(audit.now),
        "size": stock.size,
        "available": stock.available,
        "held": stock.held,
        "sold": stock.sold,
        "lapsed_at_risk": stock.lapsed_at_risk,
        "complete": audit.complete,
        "mismatches": list(audit.mismatches[:detail]),
        "counts": _counts(audit, len(unreferenced), len(missing)),
        "sold_by_order": dict(islice(sorted(stock.sold_by_order.items()), detail)),
        "buckets": list(islice(buckets, detail)),
        "holds": [
            _hold_row(hold_id, status, now_seconds) | _owner_fields(audit.owners.get(hold_id))
            for hold_id, status in islice(holds, detail)
        ],
        "unnamed_holds": [_unreferenced_row(found, now_seconds) for found in islice(unreferenced, detail)],
        "missing_holds": [_missing_row(found) for found in islice(missing, detail)],
        "summary": _summary_fields(audit),
        "plan": None if audit.plan is None else {"number": audit.plan.number, "quantity": audit.plan.quantity},
    }
    return report if repair is None else report | {"repaired": asdict(repair)}


def _counts(audit: DropAudit, unreferenced: int, missing: int) -> dict[str, Any]:
    stock = audit.stock
    reasons = Counter(found.fault.value for found in audit.discrepancies)
    reasons.update(found.fault.value for found in audit.limit_discrepancies)
    return {
        "buckets": len(stock.buckets),
        "holds": len(stock.hold_statuses),
        "orders": len(stock.sold_by_order),
        "purchases": audit.purchases,
        "buyers": audit.buyers,
        "mismatches": len(audit.mismatches),
        "unnamed_holds": unreferenced,
        "missing_holds": missing,
        "miscounts": len(audit.limit_discrepancies),
        "by_reason": dict(sorted(reasons.items())),
    }


def _hold_row(hold_id: str, status: HoldStatus, now: UnixSeconds) -> dict[str, Any]:
    expires_at = status.expires_at
    return {
        "hold_id": hold_id,
        "bucket": status.bucket,
        "quantity": status.quantity,
        "state": "sold" if expires_at is None else "held" if expires_at > now else "lapsed",
        "until": _rfc3339_or_none(expires_at),
        "order": status.order,
    }


def _unreferenced_row(found: Discrepancy, now: UnixSeconds) -> dict[str, Any]:
    assert found.status is not None
    return _hold_row(found.hold_id, found.status, now) | {"reason": found.fault.value} | _owner_fields(found.expected)


def _owner_fields(expected: ExpectedHold | None) -> dict[str, Any]:
    """Return the fields that name a purchase: its reference, as in logs, and the id of a placed order."""
    if expected is None:
        return {"purchase": None, "purchase_state": None, "order_id": None}
    purchase_ref = log_reference(expected.purchase_id)
    return {"purchase": purchase_ref, "purchase_state": expected.state.value, "order_id": expected.order_id}


def _missing_row(found: Discrepancy) -> dict[str, Any]:
    expected, status = found.expected, found.status
    assert expected is not None
    assert expected.hold is not None
    return {
        "hold_id": found.hold_id,
        "bucket": expected.hold.bucket if status is None else status.bucket,
        "quantity": expected.max_units,
        "found": 0 if status is None else status.quantity,
        "until": _rfc3339_or_none(expected.hold.expires_at),
        "reason": found.fault.value,
    } | _owner_fields(expected)


def _summary_fields(audit: DropAudit) -> dict[str, Any] | None:
    live = audit.stock.stored_summary
    if live is None:
        return None
    sums = {name: getattr(live, name) for name in ("size", "available", "held", "sold")}
    return sums | {"as_of": rfc3339(live.as_of), "differs": audit.summary_differs}


def _rfc3339_or_none(expires_at: UnixSeconds | None) -> str | None:
    return None if expires_at is None else rfc3339(expires_at * SECOND)
