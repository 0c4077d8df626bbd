"""Operators audit a drop's units, and repair what does not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib import recovery
from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    EmptyBody,
    Route,
    drop_id_in_path,
    no_store_response,
    validate_body,
)
from chalicelib.api.responses import Time
from chalicelib.instants import SECOND, Instant, clock
from chalicelib.purchase import PurchaseState
from chalicelib.recovery import MAX_DETAIL, RepairReport, build_audit_report
from chalicelib.stock import BucketSums
from chalicelib.telemetry import logger

_DEFAULT_DETAIL: Final = 100
_READ_TIME_BUDGET: Final[Instant] = 10 * SECOND
"""How long an audit reads before it ends and says so. The function has 20 seconds; API Gateway waits 29."""


class AuditQuery(BaseModel):
    """The parts of an audit that the answer has."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    detail: Annotated[int, Field(ge=0, le=MAX_DETAIL, description="Entries of each list at most")] = _DEFAULT_DETAIL
    from_bucket: Annotated[int, Field(ge=0, description="The first bucket of `buckets` and `holds`")] = 0
    purchases: Annotated[bool, Field(description="Read every purchase, or only count buckets")] = True


class HoldInAudit(TypedDict):
    """Units under one hold id. ``order`` has the short reference and epoch of the order that has or holds them."""

    hold_id: str
    bucket: int
    quantity: int
    state: Literal["held", "lapsed", "sold"]
    until: Time | None
    order: str | None


class HoldWithOwner(HoldInAudit):
    """A hold and its purchase. ``purchase`` is a reference, as in logs; null if no known purchase names the hold."""

    purchase: str | None
    purchase_state: PurchaseState | None
    order_id: str | None


class OrphanHold(HoldWithOwner):
    """Units that no purchase claims, or that the wrong purchase claims."""

    reason: Literal["unnamed", "no_order", "given_up", "sold_to_open", "surplus", "foreign"]


class MissingHold(TypedDict):
    """Units that a purchase claims: ``quantity`` of them, of which the bucket has ``found``."""

    hold_id: str
    bucket: int
    quantity: int
    found: int
    until: Time
    reason: Literal["gone", "unsold", "paid_unsold", "paid_gone"]
    purchase: str
    purchase_state: PurchaseState
    order_id: str | None


class AuditCounts(TypedDict):
    """How many there are of each. The lists may be shorter."""

    buckets: int
    holds: int
    orders: int
    purchases: int
    buyers: int
    mismatches: int
    unnamed_holds: int
    missing_holds: int
    miscounts: int
    by_reason: dict[str, int]


class SummaryInAudit(TypedDict):
    """The live summary as it is stored. During a sale it follows the buckets within a second."""

    size: int
    available: int
    held: int
    sold: int
    as_of: Time
    differs: bool


class PendingPlan(TypedDict):
    """A change of stock that is not finished."""

    number: int
    quantity: int


class AuditResponse(TypedDict):
    """The place of every unit. ``mismatches`` is empty when every rule of stock holds.

    ``complete`` says that every purchase was read. Otherwise no unit is called unnamed. Each list has its first
    ``detail`` entries.
    """

    drop_id: str
    as_of: Time
    size: int
    available: int
    held: int
    sold: int
    lapsed_at_risk: int
    complete: bool
    mismatches: list[str]
    counts: AuditCounts
    sold_by_order: dict[str, int]
    buckets: list[BucketSums]
    holds: list[HoldWithOwner]
    unnamed_holds: list[OrphanHold]
    missing_holds: list[MissingHold]
    summary: SummaryInAudit | None
    plan: PendingPlan | None


class RepairResponse(AuditResponse):
    """An audit before its repair, and the repair."""

    repaired: RepairReport


def audit_drop(request: ApiRequest) -> ApiResponse:
    """Compare every bucket of a drop with the rules of stock, and every unit with the purchases. Changes nothing."""
    query = validate_body(AuditQuery, dict(request.query))
    found = recovery.audit_drop(
        request.services.context,
        drop_id_in_path(request),
        request.now,
        _time_budget(request),
        purchases=query.purchases,
    )
    return no_store_response(200, build_audit_report(found, detail=query.detail, from_bucket=query.from_bucket))


def repair_drop(request: ApiRequest) -> ApiResponse:
    """Audit a drop and repair what does not match. Answers the audit before the repair.

    A repair is safe during a sale, and repeatable.
    """
    actor = require_scope(request, OPERATOR)
    validate_body(EmptyBody, request.optional_json())
    drop_id = drop_id_in_path(request)
    found, repair_report = recovery.repair_stock(
        request.services.context, drop_id, request.services.enqueue_capture, request.now, _time_budget(request)
    )
    logger.info("drop repaired", extra={"drop": drop_id, "by": actor})
    return no_store_response(200, build_audit_report(found, detail=_DEFAULT_DETAIL, repair=repair_report))


def _time_budget(request: ApiRequest) -> Callable[[], bool]:
    return lambda: clock() > request.now + _READ_TIME_BUDGET


ROUTES = (
    Route(
        "GET",
        "/drops/{id}/audit",
        audit_drop,
        "Audit a drop's stock",
        (200, 400, 401, 403, 404, 503),
        scope=OPERATOR,
        response_model=AuditResponse,
        query_model=AuditQuery,
    ),
    Route(
        "POST",
        "/drops/{id}/repair",
        repair_drop,
        "Audit a drop's stock and repair it",
        (200, 404, *OPERATOR_ERRORS),
        request_model=EmptyBody,
        scope=OPERATOR,
        response_model=RepairResponse,
    ),
)
