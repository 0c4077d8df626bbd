"""Operators see the money of an order: refunds by state, disputes, and what moved the shop's balance."""

from __future__ import annotations

from typing import Literal, cast

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.operators.provider_money import ProviderMoneyResponse, provider_money
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    Route,
    no_store_response,
    purchase_id_of_order,
)
from chalicelib.ids import order_id
from chalicelib.instants import Instant, rfc3339
from chalicelib.payments import Movement
from chalicelib.purchase import Dispute, Purchase, Refund, lost_amount, order_status_of, read_order, refunded_amount

DisputeStatusName = Literal["inquiry", "open", "won", "lost", "closed"]
"""The values of ``chalicelib.payments.DisputeStatus``."""


class RefundState(TypedDict):
    """A refund: ``requested`` until the provider has it, ``pending`` there, then ``done`` or ``failed``.

    ``failed_at`` of a failed refund says when it failed after it was done; null if it was never done.
    """

    refund_id: str
    status: Literal["requested", "pending", "done", "failed"]
    amount: int
    restocked: bool
    requested_at: str
    completed_at: str | None
    failed_at: str | None
    failure_code: str | None
    provider_refund_id: str | None


class DisputeState(TypedDict):
    """A dispute. ``withdrawn`` is missing from the shop's balance at present, in ``currency``.

    ``lost`` is gone for good, in the order's currency.
    """

    dispute_id: str
    status: DisputeStatusName
    amount: int
    currency: str
    withdrawn: int
    lost: int
    reason: str | None
    evidence_due: str | None
    opened_at: str
    closed_at: str | None


class BalanceMovement(TypedDict):
    """A movement of the shop's balance at the provider, in minor units of ``currency``, the currency of settlement."""

    id: str
    kind: str
    amount: int
    fee: int
    currency: str
    created_at: str


class OrderMoney(TypedDict):
    """The money of an order in minor units of ``currency``. ``left`` is the total less refunds and losses."""

    order_id: str
    status: str
    currency: str
    total: int
    refunded: int
    lost: int
    left: int
    fees: dict[str, int]
    refunds: list[RefundState]
    disputes: list[DisputeState]
    movements: list[BalanceMovement]
    provider: ProviderMoneyResponse


def get_order_money(request: ApiRequest) -> ApiResponse:
    """Get an order's refunds, disputes and balance movements. ``fees`` are sums by currency of settlement.

    Movements are known after the hourly run that follows the provider's balance. ``provider`` is what it says now.
    """
    require_scope(request, OPERATOR)
    context = request.services.context
    purchase = read_order(context, purchase_id_of_order(request))
    return no_store_response(200, _order_money(request, purchase, context.movements.of_purchase(purchase.id)))


def _order_money(request: ApiRequest, purchase: Purchase, movements: list[Movement]) -> OrderMoney:
    refunded, lost = refunded_amount(purchase), lost_amount(purchase)
    fees = dict.fromkeys((movement.currency for movement in movements), 0)
    for movement in movements:
        fees[movement.currency] += movement.fee
    return {
        "order_id": order_id(purchase.id),
        "status": order_status_of(purchase).value,
        "currency": purchase.currency,
        "total": purchase.totals.total,
        "refunded": refunded,
        "lost": lost,
        "left": purchase.totals.total - refunded - lost,
        "fees": fees,
        "refunds": [_refund_state(refund) for refund in purchase.refunds],
        "disputes": [_dispute_state(dispute) for dispute in purchase.disputes],
        "movements": [_balance_movement(movement) for movement in movements],
        "provider": provider_money(request, purchase),
    }


def _refund_state(refund: Refund) -> RefundState:
    return {
        "refund_id": refund.id,
        "status": _status_of(refund),
        "amount": refund.amount,
        "restocked": refund.restocked,
        "requested_at": rfc3339(refund.requested_at),
        "completed_at": _text(refund.completed_at),
        "failed_at": _text(refund.failed_at),
        "failure_code": refund.failure_code,
        "provider_refund_id": refund.provider_id,
    }


def _status_of(refund: Refund) -> Literal["requested", "pending", "done", "failed"]:
    if refund.failure_code is not None:
        return "failed"
    if refund.completed_at is not None:
        return "done"
    return "pending" if refund.provider_id is not None else "requested"


def _dispute_state(dispute: Dispute) -> DisputeState:
    return {
        "dispute_id": dispute.id,
        "status": cast("DisputeStatusName", dispute.status),
        "amount": dispute.amount,
        "currency": dispute.currency,
        "withdrawn": dispute.withdrawn,
        "lost": sum(loss.amount for loss in dispute.losses if loss.restored_at is None),
        "reason": dispute.reason,
        "evidence_due": _text(dispute.evidence_due),
        "opened_at": rfc3339(dispute.opened_at),
        "closed_at": _text(dispute.closed_at),
    }


def _balance_movement(movement: Movement) -> BalanceMovement:
    return {
        "id": movement.id,
        "kind": movement.kind.value,
        "amount": movement.amount,
        "fee": movement.fee,
        "currency": movement.currency,
        "created_at": rfc3339(movement.created_at),
    }


def _text(instant: Instant | None) -> str | None:
    return rfc3339(instant) if instant is not None else None


ROUTES = (
    Route(
        "GET",
        "/orders/{id}/money",
        get_order_money,
        "Get an order's refunds, disputes and balance movements",
        (200, 404, *OPERATOR_ERRORS),
        scope=OPERATOR,
        response_model=OrderMoney,
    ),
)
