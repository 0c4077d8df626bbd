"""The four use cases that are traced: create, complete, capture, ledger.

This file alone knows the names of the product that the trace depends on. When a name changes, change it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3

from chalicelib import instants
from chalicelib.finance import open_ledger
from chalicelib.streams.capture import process_payments
from chalicelib.streams.ledger import post_ledger
from tests.api.conftest import ApiClient, api, express_checkout, payment_body
from tests.builders.messages import MessagingFixture
from tests.streams.conftest import a_queue_batch, messaging

UNCOUNTED = frozenset({"streams/batch.py"})
"""The loop over the messages of a batch. It belongs to the queue and to no use case."""

BUCKET = "finance-of-the-trace"

__all__ = ["UNCOUNTED", "api", "messaging", "use_cases"]


def use_cases(client: ApiClient, messages: MessagingFixture) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name each use case and give the call that runs it. Each call needs the effects of those before it."""
    context = client.services.context
    purchases = context.purchases
    client.an_open_drop("mug")

    session: dict[str, Any] = {}

    def create() -> None:
        reply = client.send("POST", "/checkout-sessions", express_checkout("mug"))
        assert reply.status == 201, reply.text
        session.update(reply.body)

    yield "create", create
    purchase_id = session["id"].removeprefix("chk_")

    def complete() -> None:
        reply = client.send("POST", f"/checkout-sessions/{session['id']}/complete", payment_body("ok"))
        assert reply.status == 200, reply.text

    yield "complete", complete
    attempt, now = a_queue_batch({"purchase_id": purchase_id, "attempt": 1}), instants.clock()
    yield "capture", lambda: process_payments(attempt, context, messages.captures, now)

    paid = purchases.read(purchase_id)
    assert paid is not None
    assert paid.paid_at is not None
    where: Any = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    ledger = open_ledger(boto3.client("s3"), BUCKET)
    message = {"purchase_id": purchase_id, "version": paid.version, "paid": True, "refunds": [], "cancelled": False}
    changed = a_queue_batch(message)
    yield "ledger", lambda: post_ledger(changed, purchases, ledger, messages.bus, "Europe/London")
