"""Messages of the capture queue: the provider's answers and conflicts use up no delivery; a batch runs side by side."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Barrier
from typing import Any, NoReturn, cast

import pytest

from app import CAPTURE_BATCH
from chalicelib.errors import InvariantBroken, Unavailable, WriteConflict
from chalicelib.instants import HOUR, MINUTE
from chalicelib.payments import (
    Authorisation,
    AuthorisationRequest,
    OutcomeUnknownError,
    ProviderBusyError,
    SandboxGateway,
)
from chalicelib.purchase import PurchaseState, PurchaseStore
from chalicelib.streams.capture import process_payments
from chalicelib.streams.messaging import Queue
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture
from tests.streams.conftest import a_queue_batch

NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}


@dataclass
class RecordingSqs:
    """Records the messages that are sent, each with its delay in seconds."""

    sent: list[tuple[dict[str, Any], int]] = field(default_factory=list)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.sent += [(json.loads(entry["MessageBody"]), entry["DelaySeconds"]) for entry in Entries]
        return {}


@pytest.fixture
def sqs() -> RecordingSqs:
    return RecordingSqs()


def deliver(shop: ShopFixture, sqs: RecordingSqs, *messages: Any, **delivered: Any) -> dict[str, Any]:
    batch = a_queue_batch(*messages, **delivered)
    return process_payments(batch, shop.context, Queue(cast("Any", sqs), "captures"), NOW)


def with_gateway(shop: ShopFixture, answer: Exception) -> ShopFixture:
    """Return the shop with a provider that answers each authorisation with an exception."""

    class Raising(SandboxGateway):
        def authorise(self, request: AuthorisationRequest, *, now: int) -> Authorisation:
            raise answer

    gateway = Raising(shop.tables.dynamodb, shop.tables.sandbox)
    return replace(shop, context=replace(shop.context, gateway=gateway))


def test_unknown_outcome_sends_the_message_again_later_each_time(shop: ShopFixture, sqs: RecordingSqs) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    silent = with_gateway(shop, OutcomeUnknownError("no answer"))
    message = {"purchase_id": placed.id, "attempt": 1}
    for tries in range(7):
        assert deliver(silent, sqs, message) == NONE_FAILED
        message = sqs.sent[-1][0]
        assert message == {"purchase_id": placed.id, "attempt": 1, "tries": tries + 1}
    assert [delay for _, delay in sqs.sent] == [5, 10, 20, 40, 60, 60, 60]
    assert shop.read(placed.id).state is PurchaseState.PLACED


def test_busy_provider_costs_its_seconds_and_no_try(shop: ShopFixture, sqs: RecordingSqs) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    busy = with_gateway(shop, ProviderBusyError("rate limit", retry_in_seconds=7))
    message = {"purchase_id": placed.id, "attempt": 1, "tries": 2}
    assert deliver(busy, sqs, message) == NONE_FAILED
    assert sqs.sent == [(message, 7)]


@pytest.mark.parametrize(
    ("error", "delays"),
    [
        (WriteConflict("Another worker was first."), [1, 2, 4, 8, 16, 32, 60, 60]),
        (Unavailable("The database is busy.", retry_after_seconds=3), [3, 3, 4, 8, 16, 32, 60, 60]),
    ],
)
def test_conflict_sends_the_message_again_without_a_try(
    shop: ShopFixture, sqs: RecordingSqs, error: Exception, delays: list[int]
) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    rival = with_gateway(shop, error)
    message: dict[str, Any] = {"purchase_id": placed.id, "attempt": 1}
    for _ in delays:
        assert deliver(rival, sqs, message) == NONE_FAILED
        message = sqs.sent[-1][0]
    assert [delay for _, delay in sqs.sent] == delays
    assert message == {"purchase_id": placed.id, "attempt": 1, "conflicts": len(delays)}


@pytest.mark.parametrize("fault", [InvariantBroken("The bucket is gone."), ValueError("a fault of the code")])
def test_fault_of_the_code_fails_the_delivery(shop: ShopFixture, sqs: RecordingSqs, fault: Exception) -> None:
    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    answer = deliver(with_gateway(shop, fault), sqs, {"purchase_id": placed.id, "attempt": 1})
    assert (answer, sqs.sent) == ({"batchItemFailures": [{"itemIdentifier": "m0"}]}, [])


def test_message_that_cannot_be_sent_again_fails_its_delivery(shop: ShopFixture) -> None:
    class FullQueue(RecordingSqs):
        def send_message_batch(self, **_: Any) -> dict[str, Any]:
            return {"Failed": [{"Code": "throttled"}]}

    shop.put_drop("mug")
    placed = shop.place(("mug", 1))
    silent = with_gateway(shop, OutcomeUnknownError("no answer"))
    answer = deliver(silent, FullQueue(), {"purchase_id": placed.id, "attempt": 1})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}


def test_batch_takes_as_long_as_one_message(shop: ShopFixture, sqs: RecordingSqs) -> None:
    together = Barrier(CAPTURE_BATCH, timeout=20)

    class Slow(SandboxGateway):
        def authorise(self, request: AuthorisationRequest, *, now: int) -> Authorisation:
            together.wait()  # a batch that is handled one by one breaks the barrier
            return super().authorise(request, now=now)

    shop.put_drop("mug", stock=CAPTURE_BATCH)
    placed = [shop.place(("mug", 1), key=f"key-{number}") for number in range(CAPTURE_BATCH)]
    context = replace(shop.context, gateway=Slow(shop.tables.dynamodb, shop.tables.sandbox))
    batch = a_queue_batch(*({"purchase_id": purchase.id, "attempt": 1} for purchase in placed))
    with ThreadPoolExecutor(CAPTURE_BATCH) as threads:
        answer = process_payments(batch, context, Queue(cast("Any", sqs), "captures"), NOW, threads.map)
    assert (answer, sqs.sent) == (NONE_FAILED, [])
    assert [shop.read(purchase.id).state for purchase in placed] == [PurchaseState.PAID] * CAPTURE_BATCH


def test_side_by_side_failures_are_those_of_their_own_messages(
    shop: ShopFixture, sqs: RecordingSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug", stock=2)
    placed = [shop.place(("mug", 1), key=f"key-{number}") for number in range(2)]
    real = PurchaseStore.read

    def read(store: PurchaseStore, purchase_id: str) -> Any:
        return fail() if purchase_id == placed[0].id else real(store, purchase_id)

    def fail() -> NoReturn:
        raise InvariantBroken("This purchase alone is broken.")

    monkeypatch.setattr(PurchaseStore, "read", read)
    batch = a_queue_batch(*({"purchase_id": purchase.id, "attempt": 1} for purchase in placed))
    with ThreadPoolExecutor(CAPTURE_BATCH) as threads:
        answer = process_payments(batch, shop.context, Queue(cast("Any", sqs), "captures"), NOW, threads.map)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    monkeypatch.undo()
    assert [shop.read(purchase.id).state for purchase in placed] == [PurchaseState.PLACED, PurchaseState.PAID]


@pytest.mark.parametrize(
    ("message", "delivery", "state"),
    [({}, 1, PurchaseState.PAID), ({"tries": 1}, 1, PurchaseState.OPEN), ({}, 2, PurchaseState.OPEN)],
    ids=["untried", "tried before", "delivered before"],
)
def test_message_says_whether_the_shorter_deadline_holds(
    shop: ShopFixture, sqs: RecordingSqs, message: dict[str, Any], delivery: int, state: PurchaseState
) -> None:
    shop.put_drop("mug", now=NOW - HOUR)
    placed = shop.place(("mug", 1), now=NOW - 20 * MINUTE)
    body = {"purchase_id": placed.id, "attempt": 1} | message
    assert deliver(shop, sqs, body, delivery=delivery) == NONE_FAILED
    assert shop.read(placed.id).state is state
