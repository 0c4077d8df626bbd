"""`POST /orders/{id}/cancellation`: an order on hold is voided, a paid one is refunded, any other state is refused."""

from __future__ import annotations

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import clock
from chalicelib.payments import SandboxGateway
from tests.api.conftest import ApiClient, ApiReply, express_checkout, payment_body
from tests.api.test_responses import place_order, place_paid_order_with_line


def cancel(api: ApiClient, order: str, key: str = "cancel-1") -> ApiReply:
    return api.send("POST", f"/orders/{order}/cancellation", idempotency_key=key)


def unit_counts(api: ApiClient) -> tuple[int, int]:
    """Return the drop's available and sold units."""
    audit = api.send("GET", "/drops/mug/audit").body
    return audit["available"], audit["sold"]


def test_order_on_hold_is_voided_and_its_units_are_released(api: ApiClient) -> None:
    api.an_open_drop()
    order = place_order(api)
    api.send("POST", f"/orders/{order}/hold")
    assert unit_counts(api) == (2, 1)
    first = cancel(api, order)
    assert (first.status, first.body) == (
        201,
        {
            "order_id": order,
            "state": "cancelled",
            "refund_id": None,
            "status": "completed",
            "amount": {"amount": 0, "currency": "GBP"},
            "shipping": 0,
            "restock": True,
            "lines": [],
        },
    )
    assert unit_counts(api) == (3, 0)
    after = api.snapshot()
    for key in ("cancel-1", "another"):
        assert (cancel(api, order, key).status, cancel(api, order, key).body) == (201, first.body)
    assert api.snapshot() == after
    assert api.send("POST", f"/orders/{order}/release").status == 404


def test_paid_order_is_refunded_once_and_its_units_are_restocked(api: ApiClient) -> None:
    api.an_open_drop()
    order, _ = place_paid_order_with_line(api)
    first = cancel(api, order)
    assert (first.status, first.body["state"], first.body["status"]) == (201, "paid", "completed")
    assert (first.body["refund_id"], first.body["amount"]["amount"]) == ("rf_1", 1250 + first.body["shipping"])
    assert unit_counts(api) == (3, 0)
    after = api.snapshot()
    again = cancel(api, order)
    assert (again.status, again.body) == (201, first.body)
    assert api.snapshot() == after
    assert cancel(api, order, "another").body["code"] == "nothing_left"


def test_released_order_is_refunded_once_it_is_paid(api: ApiClient) -> None:
    api.an_open_drop()
    order = place_order(api)
    api.send("POST", f"/orders/{order}/hold")
    api.send("POST", f"/orders/{order}/release")
    assert cancel(api, order).body["code"] == "complete_in_progress"
    process_attempt(api.services.context, order.removeprefix("ord_"), 1, clock())
    assert cancel(api, order).body["state"] == "paid"


def test_placed_order_is_not_cancelled(api: ApiClient) -> None:
    api.an_open_drop()
    order = place_order(api)
    before = api.snapshot()
    reply = cancel(api, order)
    assert (reply.status, reply.body["code"]) == (409, "complete_in_progress")
    assert reply.body["detail"] == (
        "The order is being paid. Retry once it is paid, or put it on hold and cancel it then."
        " The payment provider has reserved nothing."
    )
    assert api.snapshot() == before


def test_order_awaiting_its_buyer_is_not_cancelled(api: ApiClient) -> None:
    api.an_open_drop()
    session = api.send("POST", "/checkout-sessions", express_checkout()).body["id"]
    api.send("POST", f"/checkout-sessions/{session}/complete", payment_body("requires_action"))
    purchase_id = session.removeprefix("chk_")
    process_attempt(api.services.context, purchase_id, 1, clock())
    before = api.snapshot()
    reply = cancel(api, f"ord_{purchase_id}")
    assert (reply.status, reply.body["code"]) == (409, "complete_in_progress")
    assert reply.body["detail"] == (
        "The order awaits its buyer, who has to confirm the payment. Retry once it is paid."
        " The payment provider has reserved nothing."
    )
    assert api.snapshot() == before


@pytest.mark.parametrize("cancelled_by_buyer", [False, True])
def test_purchase_that_was_never_placed_is_no_order(api: ApiClient, cancelled_by_buyer: bool) -> None:
    api.an_open_drop()
    session = api.send("POST", "/checkout-sessions", express_checkout()).body["id"]
    if cancelled_by_buyer:
        api.send("POST", f"/checkout-sessions/{session}/cancel")
    reply = cancel(api, session.replace("chk_", "ord_"))
    assert (reply.status, reply.body["field"]) == (404, "id")


def test_order_released_during_its_cancellation_is_not_cancelled(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancellation has read the order on hold. Before its first write, another operator releases the order."""
    api.an_open_drop()
    order = place_order(api)
    api.send("POST", f"/orders/{order}/hold")
    purchases = api.services.context.purchases
    replace = type(purchases).replace

    def release_first(self: object, purchase: object) -> object:
        monkeypatch.setattr(type(purchases), "replace", replace)
        assert api.send("POST", f"/orders/{order}/release").status == 200
        return replace(purchases, purchase)  # type: ignore[arg-type]

    monkeypatch.setattr(type(purchases), "replace", release_first)
    reply = cancel(api, order)
    assert (reply.status, reply.body["code"]) == (503, "contended")
    assert unit_counts(api) == (2, 1)
    process_attempt(api.services.context, order.removeprefix("ord_"), 1, clock())
    assert cancel(api, order).body["state"] == "paid"
    assert unit_counts(api) == (3, 0)


def test_order_cannot_be_released_during_its_cancellation(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancellation has ended the hold. Before it asks the provider, another operator tries to release the order."""
    api.an_open_drop()
    order = place_order(api)
    api.send("POST", f"/orders/{order}/hold")
    find = SandboxGateway.find
    releases: list[ApiReply] = []

    def release_first(*arguments: object, **named: object) -> object:
        monkeypatch.setattr(SandboxGateway, "find", find)
        releases.append(api.send("POST", f"/orders/{order}/release"))
        return find(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(SandboxGateway, "find", release_first)
    assert cancel(api, order).body["state"] == "cancelled"
    assert [(reply.status, reply.body["code"]) for reply in releases] == [(409, "given_up")]
    assert unit_counts(api) == (3, 0)
