"""The capture function as it is deployed: it paces its calls, handles a batch side by side, and ends in time."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from chalicelib.instants import SECOND
from chalicelib.payments import ProviderBusyError
from chalicelib.payments.stripe.errors import Call
from chalicelib.purchase import PurchaseState
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture
from tests.conftest import Tables
from tests.doubles.stripe import Account, Behaviour, ManualClock
from tests.payments.stripe_process import stripe_process
from tests.payments.stripe_requests import statuses
from tests.streams.conftest import a_queue_batch

CONTEXT = SimpleNamespace(
    function_name="capture", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda:::capture", aws_request_id="1"
)
NONE_FAILED: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind(), clock=ManualClock(NOW))


@pytest.fixture
def process(tables: Tables, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    queue = boto3.client("sqs").create_queue(QueueName="captures")["QueueUrl"]
    rates = {"PROVIDER_RATE": "20", "PROVIDER_ACCOUNT_RATE": "80"}
    with stripe_process(tables, account, monkeypatch, CAPTURE_QUEUE_URL=queue, **rates) as app:
        monkeypatch.setattr(app, "clock", lambda: NOW)
        yield app


def test_batch_takes_paced_turns_side_by_side(
    shop: ShopFixture, process: Any, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = process.CAPTURE_BATCH
    together, slept = Barrier(size, timeout=10), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        together.wait()  # a batch that is handled one by one breaks the barrier

    monkeypatch.setattr(process, "time", SimpleNamespace(sleep=sleep))
    process.provider_keys().get(NOW)
    for call in (Call.CREATE_INTENT, Call.CAPTURE):
        process.pacer()._take_turn(call.value, NOW)  # so that each turn of the batch has to be waited for
    shop.put_drop("mug", stock=size)
    placed = [shop.place(("mug", 1), token="pm_card_visa", key=f"key-{number}") for number in range(size)]
    batch = a_queue_batch(*({"purchase_id": purchase.id, "attempt": 1} for purchase in placed))
    assert process.capture(batch, CONTEXT) == NONE_FAILED
    assert [shop.read(purchase.id).state for purchase in placed] == [PurchaseState.PAID] * size
    assert statuses(account) == ["succeeded"] * size
    assert sorted(slept[:size]) == pytest.approx([0.05 * turn for turn in range(1, size + 1)])
    assert len(slept) == 2 * size


def test_each_batch_begins_its_last_call_in_time(process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    present = NOW
    monkeypatch.setattr(process, "clock", lambda: present)
    monkeypatch.setattr(process, "time", SimpleNamespace(sleep=lambda _: None))
    for _ in range(2):
        assert process.capture(a_queue_batch(), CONTEXT) == NONE_FAILED
        present += process.LAST_CALL_AFTER
        process.pacer().await_turn(Call.CREATE_INTENT.value)
        present += SECOND
        with pytest.raises(ProviderBusyError):
            process.pacer().await_turn(Call.CAPTURE.value)
