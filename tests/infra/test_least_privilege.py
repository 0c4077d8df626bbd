"""Least privilege, measured: a scenario runs every function with only the variables that the template gives it.

A function's role must allow each AWS call of the function, and the function must use each permission and each variable.
No emulator checks permissions: a call that a role lacks would fail on AWS only.
"""

from __future__ import annotations

import base64
import json
import time
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import Any

import boto3
import jwt
import pytest
from botocore.client import BaseClient
from chalice.config import Config
from chalice.local import LocalGateway

from chalicelib.checkout import complete
from tests.api.conftest import AGENT, express_checkout, payment_body
from tests.conftest import Tables
from tests.infra.deployment import PREFIX, EmulatedDeployment, granted, of_type, variables

CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda:::f", aws_request_id="1"
)
_OVERFLOW_HOLD = "reads a hold that overflowed from its home bucket"
_LEDGER = "posts an entry whose message was lost"
_REFUND = "finishes a refund that stopped halfway"
_STRIPE = "needed only when Stripe is the payment provider"
GRANTED_BUT_UNUSED = {
    ("APIHandler", "secretsmanager:GetSecretValue", "PaymentSecret"): _STRIPE,
    ("Capture", "secretsmanager:GetSecretValue", "PaymentSecret"): _STRIPE,
    ("Maintenance", "secretsmanager:GetSecretValue", "PaymentSecret"): _STRIPE,
    ("Capture", "sqs:SendMessage", "CaptureQueue"): "enqueues an attempt again that waits for its buyer",
    ("APIHandler", "dynamodb:GetItem", "StockTable"): _OVERFLOW_HOLD,
    ("APIHandler", "s3:ListBucket", "FinanceBucket"): "makes a missing manifest answer 404 and not 403",
    ("Capture", "dynamodb:GetItem", "StockTable"): _OVERFLOW_HOLD,
    ("CloseDay", "s3:GetObject", "FinanceBucket/ledger/*"): "reads the entries of a day that has some",
    ("CloseDay", "s3:PutObject", "FinanceBucket/ledger/*"): _LEDGER,
    ("Export", "s3:PutObject", "FinanceBucket/ledger/*"): _LEDGER,
    ("OnCue", "dynamodb:BatchGetItem", "CommerceTable"): "adds stock to a drop with more than 400 buckets",
    ("OnCue", "dynamodb:GetItem", "StockTable"): "finishes a stock withdrawal that stopped halfway",
    ("OnStock", "dynamodb:GetItem", "CommerceTable"): "reads a summary that another process wrote meanwhile",
    ("Maintenance", "dynamodb:GetItem", "SandboxTable"): _REFUND,
    ("Maintenance", "dynamodb:GetItem", "StockTable"): _REFUND,
    ("Maintenance", "dynamodb:UpdateItem", "SandboxTable"): _REFUND,
    ("Maintenance", "dynamodb:UpdateItem", "StockTable"): _REFUND,
    ("Maintenance", "s3:PutObject", "FinanceBucket/ledger/*"): _LEDGER,
}
"""Permissions for cases that the scenario does not reach, and the case."""
GIVEN_BUT_UNREAD = {
    (function, variable)
    for function in ("APIHandler", "Capture", "Maintenance")
    for variable in (
        *("LIVEDROP_PAYMENT_MARK", "LIVEDROP_PAYMENT_SECRETS_ID", "LIVEDROP_STRIPE_URL"),
        *("LIVEDROP_PROVIDER_RATE", "LIVEDROP_PROVIDER_ACCOUNT_RATE"),
    )
}
"""Variables that a function reads only when Stripe is the payment provider."""


@pytest.fixture
def deployment(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> EmulatedDeployment:
    made = EmulatedDeployment(tables)
    made.create_resources()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(self: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        made.record_call(self.meta.service_model.service_name, operation, parameters)
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return made


class Scenario:
    """A small show that runs every function."""

    def __init__(self, deployment: EmulatedDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
        self.deployment, self.monkeypatch = deployment, monkeypatch
        self.keys = 0

    def http(self, method: str, path: str, body: object = None) -> Any:
        self.keys += 1
        claims = {"sub": "ada", "scope": "operator finance", "exp": int(time.time()) + 300}
        headers = {
            "host": "shop.example",
            "ucp-agent": AGENT,
            "authorization": f"Bearer {jwt.encode(claims, self.deployment.secret['jwt_secret'])}",
            "idempotency-key": f"key-{self.keys}",
            "content-type": "application/json",
        }
        if path.startswith("/orders/") and method == "GET":
            headers["x-api-key"] = self.deployment.secret["platforms"][0]["api_key"]
        with self.deployment.running("APIHandler", self.monkeypatch) as app:
            sent = None if body is None else json.dumps(body).encode()
            answer = LocalGateway(app.app, Config()).handle_request(method, path, headers, sent)
        assert answer["statusCode"] < 300, answer
        return json.loads(answer["body"] or "{}")

    def function(self, name: str, event: dict[str, Any]) -> Any:
        with self.deployment.running(name, self.monkeypatch) as app:
            snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
            return getattr(app, snake)(event, CONTEXT)

    def cue(self, kind: str, subject: str, **data: object) -> None:
        self.keys += 1
        event = {"specversion": "1.0", "id": f"cue-{self.keys}", "source": "/studio", "subject": subject, "data": data}
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event |= {"type": f"dev.livedrop.{kind}", "time": moment}
        self.function("OnCue", _kinesis(json.dumps(event)))

    def streams(self) -> None:
        """Deliver every item as a new record of its stream, then process all queues."""
        tables = self.deployment.tables
        for name, table in (("OnStock", tables.stock), ("OnPurchase", tables.commerce)):
            items = tables.dynamodb.scan(TableName=table)["Items"]
            records = [
                {"dynamodb": {"Keys": {key: item[key] for key in ("pk", "sk") if key in item}, "NewImage": item}}
                for item in items
            ]
            self.function(name, {"Records": records})
        for name, queue in (("Capture", "CaptureQueue"), ("PostLedger", "LedgerQueue"), ("Export", "ExportsQueue")):
            self.queue(name, self.deployment.names[queue])

    def queue(self, function: str, url: str) -> None:
        sqs = boto3.client("sqs")
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            records = [{"messageId": one["MessageId"], "body": one["Body"]} for one in messages]
            assert self.function(function, {"Records": records})["batchItemFailures"] == []
            for one in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])

    def buy(self, credential: str) -> str:
        request = express_checkout("d1") | {"discounts": {"codes": ["TEN"]}}
        session = self.http("POST", "/checkout-sessions", request)
        assert session["discounts"]["applied"]
        self.http("POST", f"/checkout-sessions/{session['id']}/complete", payment_body(credential))
        self.streams()
        return str(session["id"])


def _kinesis(text: str) -> dict[str, Any]:
    return {"Records": [{"eventID": "1", "kinesis": {"partitionKey": "p", "sequenceNumber": "1", "data": _b64(text)}}]}


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def run_scenario(deployment: EmulatedDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(deployment, monkeypatch)
    scenario.http("PUT", "/shows/s1", {"title": "Show", "currency": "GBP", "starts_at": "2026-01-01T00:00:00Z"})
    price = {"amount": 1250, "currency": "GBP"}
    drop = {"show_id": "s1", "sku": "M", "title": "Mug", "unit_price": price, "stock": 30, "limit_per_buyer": 9}
    scenario.http("PUT", "/drops/d1", drop)
    scenario.http("POST", "/drops/d1/stock", {"quantity": 6})
    ten = {"title": "Ten off", "percent_bps": 1_000, "budget_uses": 60, "limit_per_buyer": 9, "show_id": "s1"}
    scenario.http("PUT", "/discounts/ten", ten)
    scenario.http("PUT", "/discounts/launch", ten | {"automatic": True, "limit_per_buyer": None})
    scenario.http("GET", "/discounts/ten")
    scenario.cue("drop.open", "d1")
    scenario.cue("drop.stock_added", "d1", quantity=5)
    scenario.cue("drop.open", "unknown")
    scenario.cue("show.started", "s1")
    scenario.function("OnCue", _kinesis("no cue"))
    for path in ("/shows/s1", "/shows/s1/live", "/drops/d1/audit", "/health", "/.well-known/ucp"):
        scenario.http("GET", path)
    scenario.http("POST", "/catalog/lookup", {"ids": ["d1"]})
    paid = scenario.buy("ok")
    scenario.buy("declined")
    line = scenario.http("GET", f"/checkout-sessions/{paid}")["line_items"][0]["id"]
    order = paid.replace("chk_", "ord_")
    scenario.http(
        "POST", f"/orders/{order}/refunds", {"lines": [{"line_item_id": line, "quantity": 1}], "restock": True}
    )
    scenario.streams()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    scenario.http("POST", "/exports", {"date": today, "show_id": "s1"})
    scenario.streams()
    scenario.http("GET", f"/exports/{today}")
    cart = scenario.http("POST", "/carts", {"line_items": [{"item": {"id": "d1"}, "quantity": 1}]})
    scenario.http("PUT", f"/carts/{cart['id']}", {"line_items": [{"item": {"id": "d1"}, "quantity": 2}]})
    scenario.http("POST", f"/carts/{cart['id']}/cancel")
    scenario.function("CloseDay", {})
    lost = scenario.http("POST", "/checkout-sessions", express_checkout("d1"))
    with monkeypatch.context() as patched:
        patched.setattr(complete, "_commit_stock", lambda context, frozen: None)
        scenario.http("POST", f"/checkout-sessions/{lost['id']}/complete", payment_body("ok"))
    later = time.time_ns() + 120 * 10**9
    with monkeypatch.context() as patched:
        patched.setattr("time.time_ns", lambda: later)
        scenario.function("Maintenance", {})
        assert scenario.function("Maintenance", {"reconcile": {"begin": True}})["differences"] == []
        repaired = scenario.http("POST", "/drops/d1/repair", {})["repaired"]
        assert (repaired["enqueued"], repaired["remaining"]) == (1, 0)
        add_orphan_limit_entry(deployment.tables)
        request = {"drop_id": "d1", "repair": True, "detail": 9, "from_bucket": 0}
        assert scenario.function("Maintenance", {"audit": request})["repaired"]["recounted"] == 1


def add_orphan_limit_entry(tables: Tables) -> None:
    """Count a unit of a purchase that does not exist against a limit."""
    items = tables.dynamodb.scan(TableName=tables.commerce)["Items"]
    usage: Any = next(item for item in items if item["pk"]["S"].startswith("LIMIT#"))
    usage["entries"]["M"]["orphan"] = {"M": {"q": {"N": "1"}, "v": {"N": "1"}, "t": {"N": "1"}}}
    usage["units"] = {"N": str(int(usage["units"]["N"]) + 1)}
    tables.dynamodb.put_item(TableName=tables.commerce, Item=usage)


def test_functions_use_exactly_the_permissions_and_variables_they_have(
    deployment: EmulatedDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_scenario(deployment, monkeypatch)
    functions = of_type("AWS::Serverless::Function")
    assert set(deployment.calls) == set(functions)
    lacking, unused, unread = set(), set(), set()
    for function in functions:
        calls, grants, read = deployment.calls[function], granted(function), deployment.read_settings[function]
        lacking |= {(function, *call) for call in calls if not any(_covers(grant, call) for grant in grants)}
        unused |= {(function, *grant) for grant in grants if not any(_covers(grant, call) for call in calls)}
        unread |= {(function, name) for name in variables(function) if name.removeprefix(PREFIX).lower() not in read}
    assert lacking == set()
    assert {one for one in unused if not one[2].endswith("DLQ")} == set(GRANTED_BUT_UNUSED)
    assert unread == GIVEN_BUT_UNREAD


def _covers(grant: tuple[str, str], call: tuple[str, str]) -> bool:
    return grant[0] == call[0] and fnmatch(call[1], grant[1])
