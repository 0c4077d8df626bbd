"""An audit as an operator is shown it, by HTTP and by the command line: sums whole, lists bounded."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import islice
from typing import Any

from chalicelib.checkout.audit import DropAudit, Found
from chalicelib.checkout.claims import Claim
from chalicelib.checkout.identity import log_reference
from chalicelib.checkout.mend import Mended
from chalicelib.instants import SECOND, rfc3339
from chalicelib.stock import EpochSeconds, HoldStatus

MOST_DETAIL = 5_000
"""Entries a list may have: some 1 MB of each, and API Gateway and Lambda answer 6 MB at most."""


def audit_report(
    found: DropAudit, *, detail: int, from_bucket: int = 0, mended: Mended | None = None
) -> dict[str, Any]:
    """The audit as JSON. Each list has its first ``detail`` entries; ``counts`` says how many there are of each.

    ``buckets`` and ``holds`` begin at ``from_bucket``: a big drop is read on from the last bucket that was shown.
    """
    stock, seconds = found.stock, found.now // SECOND
    buckets = [asdict(one) for one in stock.buckets if one.bucket >= from_bucket]
    units = [pair for pair in stock.hold_statuses if pair[1].bucket >= from_bucket]
    holds = [_unit(hold, status, seconds) | _owner(found.owners.get(hold)) for hold, status in islice(units, detail)]
    unnamed = [one for one in found.found if one.unnamed]
    missing = [one for one in found.found if not one.unnamed]
    reasons = [one.fault.value for one in found.found] + [one.fault.value for one in found.miscounts]
    plan = found.plan
    report: dict[str, Any] = {
        "drop_id": found.drop.id,
        "as_of": rfc3339(found.now),
        "size": stock.size,
        "available": stock.available,
        "held": stock.held,
        "sold": stock.sold,
        "lapsed_at_risk": stock.lapsed_at_risk,
        "complete": found.complete,
        "mismatches": list(found.mismatches[:detail]),
        "counts": {
            "buckets": len(stock.buckets),
            "holds": len(stock.hold_statuses),
            "orders": len(stock.sold_by_order),
            "purchases": found.purchases,
            "buyers": found.buyers,
            "mismatches": len(found.mismatches),
            "unnamed_holds": len(unnamed),
            "missing_holds": len(missing),
            "miscounts": len(found.miscounts),
            "by_reason": dict(sorted(Counter(reasons).items())),
        },
        "sold_by_order": dict(islice(sorted(stock.sold_by_order.items()), detail)),
        "buckets": buckets[:detail],
        "holds": holds,
        "unnamed_holds": [_unnamed(one, seconds) for one in islice(unnamed, detail)],
        "missing_holds": [_missing(one) for one in islice(missing, detail)],
        "summary": _summary(found),
        "plan": None if plan is None else {"number": plan.number, "quantity": plan.quantity},
    }
    return report if mended is None else report | {"repaired": asdict(mended)}


def _unit(hold_id: str, status: HoldStatus, seconds: EpochSeconds) -> dict[str, Any]:
    expires_at = status.expires_at
    return {
        "hold_id": hold_id,
        "bucket": status.bucket,
        "quantity": status.quantity,
        "state": "sold" if expires_at is None else "held" if expires_at > seconds else "lapsed",
        "until": _rfc3339_or_none(expires_at),
        "order": status.order,
    }


def _unnamed(one: Found, seconds: EpochSeconds) -> dict[str, Any]:
    assert one.status is not None
    return _unit(one.hold_id, one.status, seconds) | {"reason": one.fault.value} | _owner(one.claim)


def _owner(claim: Claim | None) -> dict[str, Any]:
    """A purchase is told by its reference, as in logs; an order by its id too."""
    if claim is None:
        return {"purchase": None, "purchase_state": None, "order_id": None}
    told = log_reference(claim.purchase_id)
    return {"purchase": told, "purchase_state": claim.state.value, "order_id": claim.order_id}


def _missing(one: Found) -> dict[str, Any]:
    claim, status = one.claim, one.status
    assert claim is not None
    assert claim.hold is not None
    return {
        "hold_id": one.hold_id,
        "bucket": claim.hold.bucket if status is None else status.bucket,
        "quantity": claim.most,
        "found": 0 if status is None else status.quantity,
        "until": _rfc3339_or_none(claim.hold.expires_at),
        "reason": one.fault.value,
    } | _owner(claim)


def _summary(found: DropAudit) -> dict[str, Any] | None:
    live = found.stock.live
    if live is None:
        return None
    sums = {name: getattr(live, name) for name in ("size", "available", "held", "sold")}
    return sums | {"as_of": rfc3339(live.as_of), "differs": found.summary_differs}


def _rfc3339_or_none(expires_at: EpochSeconds | None) -> str | None:
    return None if expires_at is None else rfc3339(expires_at * SECOND)
