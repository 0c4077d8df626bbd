from __future__ import annotations

from tests.api.conftest import ApiClient, express_checkout, payment_body


def test_an_operator_holds_releases_and_gives_up(api: ApiClient) -> None:
    api.an_open_drop()
    orders = []
    for _ in range(2):
        session = api.send("POST", "/checkout-sessions", express_checkout()).body["id"]
        api.send("POST", f"/checkout-sessions/{session}/complete", payment_body())
        orders.append(session.replace("chk_", "ord_"))
    for order in orders:
        held = api.send("POST", f"/orders/{order}/hold")
        assert (held.status, held.body["state"], held.body["held_by"]) == (200, "held", "ada")
    released = api.send("POST", f"/orders/{orders[0]}/release")
    assert (released.body["state"], released.body["released_by"]) == ("placed", "ada")
    assert api.send("POST", f"/orders/{orders[1]}/giving-up").body["state"] == "cancelled"
    assert api.send("POST", f"/orders/{orders[1]}/release").status == 404
    assert api.send("POST", f"/orders/{orders[0]}/giving-up").status == 409
    assert api.send("POST", f"/orders/{orders[0]}/hold", {"more": 1}).body["field"] == "$.more"
