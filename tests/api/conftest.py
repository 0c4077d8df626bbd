"""The whole API on the in-process emulator. Chalice's local gateway turns requests into proxy events."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import boto3
import jwt
import pytest
from chalice.config import Config
from chalice.local import LocalGateway

from chalicelib.api import ROUTES, DeploymentKeys, Keyring, LivedropApi, Platform, Services, register_routes
from chalicelib.finance import open_exports
from chalicelib.payments import Gateway, ProviderKeys, SandboxGateway
from chalicelib.pricing import DEFAULT_MARKETS, MarketRevisions
from chalicelib.settings import Settings
from tests.builders.context import a_checkout_context
from tests.conftest import Tables

AGENT = 'profile="https://platform.example/profile"'
SECRETS = DeploymentKeys(
    id_key=bytes(32),
    jwt_secret="a secret of the tests, long enough for HS256",
    cue_secrets=("whsec_b2xkIHNlY3JldCBvZiB0aGUgdGVzdHM=", "whsec_bmV3IHNlY3JldCBvZiB0aGUgdGVzdHM="),
    platforms=(
        Platform("lively", "https://platform.example/profile", "lively-app", "key-of-lively"),
        Platform("other", "https://other.example/profile", None, "key-of-other"),
    ),
)


@dataclass(frozen=True)
class ApiReply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def token(*scopes: str, seconds: int = 300, secret: str = SECRETS.jwt_secret) -> str:
    claims = {"sub": "ada", "scope": " ".join(scopes), "exp": int(time.time()) + seconds}
    return jwt.encode(claims, secret, algorithm="HS256")


class ApiClient:
    """A client of the API."""

    def __init__(self, app: LivedropApi, services: Services, tables: Tables, captures: list[tuple[str, int]]) -> None:
        self.app, self.services, self.tables, self.captures = app, services, tables, captures
        self._gateway = LocalGateway(app, Config())
        self._keys = count(1)

    def send(self, method: str, path: str, body: object = None, **headers: str | None) -> ApiReply:
        """Send a request with the headers that its path needs; ``None`` removes one, ``ucp_agent`` is ``UCP-Agent``."""
        all_headers: dict[str, str | None] = {"host": "shop.example"}
        operator_paths = ("/shows", "/drops", "/discounts", "/exports", "/markets", "/cues/refused")
        if path.startswith(operator_paths) or path.endswith(
            ("/refunds", "/cancellation", "/hold", "/release", "/money")
        ):
            all_headers["authorization"] = "Bearer " + token("operator", "finance")
        else:
            all_headers["ucp-agent"] = AGENT
        if method in ("POST", "PUT"):
            all_headers |= {"idempotency-key": f"key-{next(self._keys)}", "content-type": "application/json"}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {name: value for name, value in all_headers.items() if value is not None}
        answer = self._gateway.handle_request(method, path, sent, raw)
        return ApiReply(answer["statusCode"], answer["headers"], answer["body"])

    def snapshot(self) -> list[Any]:
        """Read every item of every table. A refused request must not change them."""
        names = (self.tables.stock, self.tables.commerce, self.tables.sandbox)
        items = [item for name in names for item in self.tables.dynamodb.scan(TableName=name)["Items"]]
        return sorted(items, key=repr)

    def an_open_drop(self, drop_id: str = "mug", stock: int = 3, **more: object) -> None:
        show = {"title": "Show", "currency": "GBP", "starts_at": "2026-01-01T00:00:00Z", "market": "GB"}
        assert self.send("PUT", "/shows/s1", show).status in (200, 201)
        drop = {
            "show_id": "s1",
            "sku": "M1",
            "title": "Mug",
            "unit_price": {"amount": 1250, "currency": "GBP"},
            "stock": stock,
            "opens_at": "2026-01-01T00:00:00Z",
            **more,
        }
        assert self.send("PUT", f"/drops/{drop_id}", drop).status == 201


PROVIDER_KEYS = Keyring(lambda: ProviderKeys("sk_test_1", ("whsec_new", "whsec_old")))


def express_checkout(drop_id: str = "mug", quantity: int = 1) -> dict[str, Any]:
    """Build a create request with everything that a purchase needs."""
    address = {"street_address": "1 High Street", "address_locality": "Leeds", "address_country": "GB"}
    return {
        "line_items": [{"item": {"id": drop_id}, "quantity": quantity}],
        "buyer": {"email": "jane@example.com", "first_name": "Jane"},
        "fulfillment": {"methods": [{"type": "shipping", "destinations": [address]}]},
    }


def payment_body(credential: str = "ok") -> dict[str, Any]:
    instrument = {"id": "pi_1", "handler_id": "sandbox", "type": "card", "selected": True}
    return {"payment": {"instruments": [instrument | {"credential": {"type": "token", "token": credential}}]}}


@pytest.fixture
def api(tables: Tables) -> ApiClient:
    return an_api(tables, SandboxGateway(tables.dynamodb, tables.sandbox))


def an_api(tables: Tables, gateway: Gateway) -> ApiClient:
    """Build the API over these tables and a payment provider."""
    boto3.client("s3").create_bucket(
        Bucket="finance-of-the-tests", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="exports")["QueueUrl"]
    settings = Settings.from_environment(
        {
            "LIVEDROP_CORS_ORIGINS": "https://brand.example",
            "LIVEDROP_TERMS_URL": "https://brand.example/terms",
            "LIVEDROP_PRIVACY_URL": "https://brand.example/privacy",
        }
    )
    markets = MarketRevisions(tables.dynamodb, tables.commerce, DEFAULT_MARKETS)
    context = a_checkout_context(
        tables.dynamodb, tables.stock, tables.commerce, gateway, id_key=SECRETS.id_key, markets_at=markets.current
    )
    exports = open_exports(
        s3=boto3.client("s3"),
        bucket="finance-of-the-tests",
        dynamodb=tables.dynamodb,
        commerce_table=tables.commerce,
        sqs=sqs,
        queue_url=queue,
        time_zone="Europe/London",
    )
    captures: list[tuple[str, int]] = []
    services = Services(
        settings=settings,
        deployment_keys=SECRETS,
        shows=context.shows,
        stock=context.stock,
        context=context,
        exports=exports,
        enqueue_capture=lambda *attempt: captures.append(attempt),
        provider_keys=PROVIDER_KEYS,
        market_table=markets,
    )
    app = LivedropApi(app_name="livedrop", configure_logs=False)
    register_routes(app, ROUTES, lambda: services)
    return ApiClient(app, services, tables, captures)
