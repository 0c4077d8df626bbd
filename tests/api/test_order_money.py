"""Operators see an order's refunds by state, its disputes and fees; its platform sees them as adjustments."""

from __future__ import annotations

from chalicelib.instants import MINUTE
from chalicelib.purchase import Dispute, DisputeLoss, Purchase, Refund
from tests.api.conftest import ApiClient
from tests.api.schemas import ORDER, assert_valid
from tests.api.test_webhooks import place_paid_order
from tests.builders.movements import a_movement

NOW = 1_795_000_000_000


def a_refund(number: int, **changes: object) -> Refund:
    return Refund(
        id=f"rf_{number}", key=f"k{number}", fingerprint="f", lines=(), amount=100, restock=False, requested_at=NOW
    ).model_copy(update=changes)


REFUNDS = (
    a_refund(1),
    a_refund(2, provider_id="re_2"),
    a_refund(3, provider_id="re_3", completed_at=NOW),
    a_refund(4, failure_code="refused"),
    a_refund(5, provider_id="re_5", completed_at=NOW, failed_at=NOW + MINUTE, failure_code="declined"),
)
DISPUTES = (
    Dispute(id="dp_1", status="inquiry", amount=70, currency="GBP", opened_at=NOW),
    Dispute(
        id="dp_2",
        status="lost",
        amount=50,
        currency="GBP",
        opened_at=NOW,
        withdrawn=50,
        withdrawn_of_order=50,
        closed_at=NOW + MINUTE,
        losses=(DisputeLoss(amount=50, lost_at=NOW + MINUTE),),
    ),
)


def an_order_with_a_life(api: ApiClient) -> tuple[str, Purchase]:
    order = place_paid_order(api)
    context = api.services.context
    paid = context.purchases.read(order.removeprefix("ord_"))
    assert paid is not None
    life = {"refunds": REFUNDS, "disputes": DISPUTES, "platform": "lively"}
    lived = paid.model_copy(update={"version": paid.version + 1, **life})
    context.purchases.replace(lived)
    context.movements.add(a_movement(purchase_id=paid.id))
    return order, lived


def test_operator_sees_refunds_by_state_disputes_and_fees(api: ApiClient) -> None:
    order, lived = an_order_with_a_life(api)
    answer = api.send("GET", f"/orders/{order}/money")
    assert answer.status == 200
    money = answer.body
    assert [one["status"] for one in money["refunds"]] == ["requested", "pending", "done", "failed", "failed"]
    assert [one["failed_at"] is not None for one in money["refunds"]] == [False, False, False, False, True]
    assert [(one["status"], one["withdrawn"], one["lost"]) for one in money["disputes"]] == [
        ("inquiry", 0, 0),
        ("lost", 50, 50),
    ]
    assert (money["refunded"], money["lost"]) == (100, 50)
    assert money["left"] == lived.totals.total - 150
    assert money["status"] == "charged back"
    movement = a_movement()
    assert (money["fees"], len(money["movements"])) == ({movement.currency: movement.fee}, 1)


def test_operator_sees_what_the_provider_has_of_an_order(api: ApiClient) -> None:
    order = place_paid_order(api)
    context = api.services.context
    paid = context.purchases.read(order.removeprefix("ord_"))
    assert paid is not None
    assert paid.payment is not None
    assert paid.payment.provider_id is not None
    total = paid.totals.total
    context.gateway.refund(paid.payment.provider_id, refund_id="console", amount=300, now=NOW)
    assert api.send("GET", f"/orders/{order}/money").body["provider"] == {
        "state": "captured",
        "amount": {"amount": total, "currency": "GBP"},
        "refunded": 300,
        "content": f"The payment provider has captured {total} GBP (minor units), of which 300 are refunded.",
    }


def test_money_of_an_order_is_for_operators_only(api: ApiClient) -> None:
    order, _ = an_order_with_a_life(api)
    assert api.send("GET", f"/orders/{order}/money", authorization=None).status == 401
    unknown = api.send("GET", "/orders/ord_" + "A" * 22 + "/money")
    assert unknown.status == 404


def test_platform_sees_refunds_and_disputes_as_adjustments(api: ApiClient) -> None:
    order, _ = an_order_with_a_life(api)
    shown = api.send("GET", f"/orders/{order}", x_api_key="key-of-lively").body
    assert_valid(ORDER, shown)
    adjustments = [(one["type"], one["status"], one["totals"][0]["amount"]) for one in shown["adjustments"]]
    assert adjustments == [
        ("refund", "pending", -100),
        ("refund", "pending", -100),
        ("refund", "completed", -100),
        ("refund", "failed", -100),
        ("refund", "failed", -100),
        ("dispute", "pending", 0),
        ("dispute", "completed", -50),
    ]
