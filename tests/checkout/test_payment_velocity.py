"""Payment velocity: too many recent declines of an instrument, e-mail or address refuse further attempts."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import from_item
from chalicelib.capture import process_attempt
from chalicelib.checkout import complete_purchase, payment_velocity
from chalicelib.errors import WriteConflict
from chalicelib.instants import HOUR, MINUTE, SECOND
from chalicelib.payments import Declined, SandboxGateway, reusable_instrument
from chalicelib.purchase import (
    Buyer,
    CheckoutResult,
    Destination,
    Purchase,
    PurchaseState,
    PurchaseStore,
    Refused,
    Written,
)
from chalicelib.risk import DeclineLimits, FraudRules, StepUpRule
from tests.builders.purchases import NEW_YORK, NOW, a_complete_request
from tests.builders.shop import ShopFixture, a_shop, once
from tests.checkout.actions import (
    another_buyer,
    attempt_payment,
    complete_new_purchase,
    message_codes,
)
from tests.conftest import Tables

LIMITS = DeclineLimits(instrument=2, email=3, address=4, window=HOUR)
RULES = FraudRules(LIMITS, StepUpRule(declines=3, percent=50, window=5 * MINUTE, duration=30 * MINUTE))


@pytest.fixture
def shop(tables: Tables) -> ShopFixture:
    shop = a_shop(tables, fraud_rules=RULES)
    shop.put_drop("mug", stock=40)
    return shop


def snapshot(shop: ShopFixture) -> list[Any]:
    names = (shop.tables.stock, shop.tables.commerce, shop.tables.sandbox)
    return sorted((item for name in names for item in shop.tables.dynamodb.scan(TableName=name)["Items"]), key=repr)


def velocity_items(shop: ShopFixture) -> list[dict[str, Any]]:
    items = (from_item(item) for item in shop.tables.dynamodb.scan(TableName=shop.tables.commerce)["Items"])
    return [item for item in items if item["pk"].startswith("VELOCITY#")]


def test_completion_after_too_many_declines_is_refused_and_changes_nothing(shop: ShopFixture) -> None:
    for number in range(3):
        attempt_payment(shop, f"k{number}", now=NOW + number)
    purchase = shop.open_purchase(("mug", 1), key="again")
    before = snapshot(shop)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request("ok", "pay-again"), NOW + 3)
    assert isinstance(answer, CheckoutResult)
    assert (answer.purchase, message_codes(answer)) == (purchase, ["too_many_attempts"])
    assert answer.messages[0].extra == {"retry_after_ms": HOUR - 3}
    assert answer.messages[0].severity == "recoverable"
    assert snapshot(shop) == before
    later = NOW + HOUR
    assert message_codes(complete_new_purchase(shop, "later", now=later)) == []
    placed = complete_purchase(shop.context, purchase.id, a_complete_request("ok", "pay-again"), later)
    assert isinstance(placed, CheckoutResult)
    assert (placed.purchase.state, message_codes(placed)) == (PurchaseState.PLACED, [])


def test_each_velocity_kind_is_counted_separately(shop: ShopFixture) -> None:
    for number in range(2):
        attempt_payment(shop, f"card-{number}", "declined_4242", **another_buyer(number))
    assert (
        message_codes(complete_new_purchase(shop, "a", "ok_4242", **another_buyer(9))) == []
    )  # a one-time token: no instrument to count
    assert message_codes(complete_new_purchase(shop, "b", "declined_4242", **another_buyer(8))) == ["too_many_attempts"]
    for number in range(3):
        attempt_payment(
            shop, f"mail-{number}", **another_buyer(20 + number) | {"buyer": Buyer(email=" Eve@Example.com ")}
        )
    assert message_codes(
        complete_new_purchase(shop, "c", **another_buyer(30) | {"buyer": Buyer(email="eve@example.com")})
    ) == ["too_many_attempts"]
    for number in range(4):
        home = Destination(
            street_address="1 High St.", extended_address=f"Flat {number}", postal_code="LS1 1AA", address_country="GB"
        )
        attempt_payment(shop, f"home-{number}", **another_buyer(40 + number) | {"destination": home})
    same = Destination(street_address="1 HIGH ST", postal_code="ls11aa", address_country="GB")
    assert message_codes(complete_new_purchase(shop, "d", **another_buyer(50) | {"destination": same})) == [
        "too_many_attempts"
    ]
    abroad = same.model_copy(update={"address_country": "FR"})
    assert message_codes(complete_new_purchase(shop, "e", **another_buyer(51) | {"destination": abroad})) == []


def test_another_buyer_is_not_refused(shop: ShopFixture) -> None:
    for number in range(3):
        attempt_payment(shop, f"k{number}")
    assert (
        message_codes(complete_new_purchase(shop, "other", buyer=Buyer(email="bob@example.com"), destination=NEW_YORK))
        == []
    )


def test_successful_payment_counts_nothing_and_leaves_no_velocity_key(shop: ShopFixture) -> None:
    paid = [attempt_payment(shop, f"k{number}", "ok_4242") for number in range(6)]
    assert {purchase.state for purchase in paid} == {PurchaseState.PAID}
    assert velocity_items(shop) == []
    assert {purchase.payment.velocity_keys for purchase in paid if purchase.payment} == {()}


def test_attempt_without_stock_is_no_decline(shop: ShopFixture) -> None:
    shop.put_drop("jug", stock=1)
    purchase = shop.open_purchase(("jug", 1))
    complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
    placed = shop.read(purchase.id)
    drop = shop.shows.drop("jug")
    assert drop is not None
    order_hold = placed.lines[0].holds[0]
    shop.tables.dynamodb.update_item(
        TableName=shop.tables.stock,
        Key={"pk": {"S": f"jug#{order_hold.bucket}"}},
        UpdateExpression="REMOVE h.#hold",
        ExpressionAttributeNames={"#hold": order_hold.id},
    )
    process_attempt(shop.context, purchase.id, 1, NOW)
    ended = shop.read(purchase.id)
    assert ended.payment is not None
    assert (ended.state, ended.payment.failure) == (PurchaseState.OPEN, "out_of_stock")
    assert velocity_items(shop) == []


def test_voided_attempt_is_no_decline(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1))
    shop.gateway.void(f"sbx_{placed.id}#1", attempt=1, now=NOW)
    process_attempt(shop.context, placed.id, 1, NOW)
    ended = shop.read(placed.id)
    assert ended.payment is not None
    assert (ended.state, ended.payment.failure) == (PurchaseState.OPEN, "voided")
    assert velocity_items(shop) == []
    assert shop.context.risk.drop_risk("mug").declines == 0


def test_velocity_items_name_no_person_and_ended_attempts_keep_no_key(shop: ShopFixture) -> None:
    placed = shop.place(("mug", 1), token="declined_4242")
    assert placed.payment is not None
    assert {key[0] for key in placed.payment.velocity_keys} == {"i", "e", "a"}
    process_attempt(shop.context, placed.id, 1, NOW)
    ended = shop.read(placed.id)
    assert ended.payment is not None
    assert (ended.payment.velocity_keys, ended.payment.step_up) == ((), False)
    found = velocity_items(shop)
    assert {item["pk"] for item in found} == {f"VELOCITY#{key}" for key in placed.payment.velocity_keys}
    text = repr(found).casefold()
    assert not [word for word in ("ada", "james", "sw1y", "4242", placed.id.casefold()) if word in text]
    assert {item["expires_at"] for item in found} == {(NOW + HOUR) // SECOND}


def test_worker_that_runs_twice_counts_a_decline_once(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = shop.place(("mug", 1), token="declined")
    once(monkeypatch, SandboxGateway, "authorise", before=lambda: process_attempt(shop.context, placed.id, 1, NOW))
    with pytest.raises(WriteConflict):
        process_attempt(shop.context, placed.id, 1, NOW)
    process_attempt(shop.context, placed.id, 1, NOW)
    assert [len(item.keys() - {"pk", "sk", "expires_at"}) for item in velocity_items(shop)] == [1, 1]
    assert shop.context.risk.drop_risk("mug").declines == 1


# The worker checks declines again before it asks the provider.


def place_many(shop: ShopFixture, times: int, token: str = "declined") -> list[Purchase]:
    return [shop.place(("mug", 1), token=token, key=f"k{number}") for number in range(times)]


def test_attempts_placed_together_are_refused_before_authorisation(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, counted = place_many(shop, 6), list[str]()
    monkeypatch.setattr(payment_velocity, "count", counted.append)
    for purchase in together:
        process_attempt(shop.context, purchase.id, 1, NOW)
    ended = [shop.read(purchase.id) for purchase in together]
    failures = [purchase.payment.failure for purchase in ended if purchase.payment]
    assert failures == ["card_declined"] * 3 + ["too_many_attempts"] * 3
    assert {purchase.state for purchase in ended} == {PurchaseState.OPEN}
    asked = {item["pk"]["S"] for item in shop.tables.dynamodb.scan(TableName=shop.tables.sandbox)["Items"]}
    assert {name.partition("#")[0] for name in asked} >= {purchase.id for purchase in together[:3]}
    assert all(shop.gateway.find(purchase.id, 1, now=NOW) is None for purchase in together[3:])
    assert shop.unit_counts("mug") == (34, 6, 0)
    assert counted == ["attempts_refused_email"] * 3
    assert shop.context.risk.drop_risk("mug").declines == 3


def test_attempt_that_the_provider_knows_is_finished_despite_other_declines(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, *others = place_many(shop, 4, "ok")
    replace = PurchaseStore.replace

    def die(self: PurchaseStore, purchase: Purchase) -> Written | Refused[Purchase]:
        if purchase.state is PurchaseState.PAID:
            raise WriteConflict("The worker dies after the capture.")
        return replace(self, purchase)

    with monkeypatch.context() as patched:
        patched.setattr(PurchaseStore, "replace", die)
        with pytest.raises(WriteConflict):
            process_attempt(shop.context, lost.id, 1, NOW)
    for number in range(3):
        attempt_payment(shop, f"d{number}", destination=NEW_YORK)
    process_attempt(shop.context, lost.id, 1, NOW)
    assert shop.read(lost.id).state is PurchaseState.PAID
    process_attempt(shop.context, others[0].id, 1, NOW)
    stopped = shop.read(others[0].id)
    assert stopped.payment is not None
    assert (stopped.state, stopped.payment.failure) == (PurchaseState.OPEN, "too_many_attempts")


def test_last_allowed_decline_keeps_the_provider_code(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    together = place_many(shop, 3)
    for purchase in together[:2]:
        process_attempt(shop.context, purchase.id, 1, NOW)

    def die(*_: Any, **__: Any) -> None:
        raise WriteConflict("The worker dies after counting.")

    with monkeypatch.context() as patched:
        patched.setattr("chalicelib.capture.fail_attempt.fail_attempt", die)
        with pytest.raises(WriteConflict):
            process_attempt(shop.context, together[2].id, 1, NOW)
    process_attempt(shop.context, together[2].id, 1, NOW)
    last = shop.read(together[2].id)
    assert last.payment is not None
    assert last.payment.failure == "card_declined"


@pytest.mark.parametrize(
    ("provider", "token", "named"),
    [
        ("sandbox", "ok", None),
        ("sandbox", "insufficient_funds", None),
        ("sandbox", "captured_late", None),
        ("sandbox", "declined_4242", "declined_4242"),
        ("stripe", "pm_1abc", "pm_1abc"),
        ("stripe", "ctoken_1abc", None),
    ],
)
def test_only_a_reusable_token_names_an_instrument(provider: str, token: str, named: str | None) -> None:
    assert reusable_instrument(provider, token) == named


@pytest.mark.parametrize(
    ("code", "counts"),
    [("card_declined", True), ("amount_too_small", False), ("amount_too_large", False), ("voided", False)],
)
def test_amount_outside_the_provider_bounds_is_no_decline(code: str, counts: bool) -> None:
    assert payment_velocity.is_by_provider(Declined(None, code)) is counts
