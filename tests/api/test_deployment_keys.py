"""A process caches keys for a while. Without keys the shop answers that it is unavailable."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from chalice.config import Config
from chalice.local import LocalGateway

from chalicelib.api import ROUTES, DeploymentKeys, Keyring, LivedropApi, Services, register_routes
from chalicelib.api.deployment_keys import MAX_AGE, REFRESH_AFTER, REREAD_AFTER, RETRY_AFTER
from chalicelib.errors import Unavailable
from tests.api.conftest import SECRETS

STORED: dict[str, Any] = {
    "id_key": "00" * 32,
    "jwt_secret": "a secret",
    "cue_secrets": ["whsec_b2xk"],
    "platforms": [{"name": "lively", "profile": "https://platform.example/profile", "api_key": "key"}],
}
NOW = 1_000_000


class FakeSecretsManager:
    """Secrets Manager with one secret. It can be unavailable."""

    def __init__(self) -> None:
        self.stored, self.unreachable, self.reads = SECRETS, False, 0

    def read(self) -> DeploymentKeys:
        self.reads += 1
        if self.unreachable:
            raise EndpointConnectionError(endpoint_url="https://secretsmanager.example")
        return self.stored


def test_keys_are_read_again_after_five_minutes() -> None:
    manager = FakeSecretsManager()
    keyring = Keyring(manager.read)
    assert [keyring.get(NOW + later) for later in (0, 1, REFRESH_AFTER - 1)] == [SECRETS] * 3
    assert manager.reads == 1
    manager.stored = replace(SECRETS, jwt_secret="another secret")
    assert keyring.get(NOW + REFRESH_AFTER - 1) == SECRETS
    assert keyring.get(NOW + REFRESH_AFTER) == manager.stored
    assert manager.reads == 2


def test_cached_keys_are_used_for_an_hour_while_reads_fail() -> None:
    manager = FakeSecretsManager()
    keyring = Keyring(manager.read)
    keyring.get(NOW)
    manager.unreachable = True
    assert [
        keyring.get(NOW + later)
        for later in (REFRESH_AFTER, REFRESH_AFTER + RETRY_AFTER - 1, REFRESH_AFTER + RETRY_AFTER)
    ] == [SECRETS] * 3
    assert manager.reads == 3
    assert keyring.get(NOW + MAX_AGE - 1) == SECRETS
    with pytest.raises(EndpointConnectionError):
        keyring.get(NOW + MAX_AGE)
    with pytest.raises(EndpointConnectionError):
        keyring.get(NOW + MAX_AGE + 1)
    manager.unreachable = False
    assert keyring.get(NOW + MAX_AGE + 2) == SECRETS


def test_keys_that_were_never_read_are_read_at_each_request() -> None:
    manager = FakeSecretsManager()
    manager.unreachable, keyring = True, Keyring(manager.read)
    for _ in range(2):
        with pytest.raises(EndpointConnectionError):
            keyring.get(NOW)
    assert manager.reads == 2


def test_refused_keys_are_read_again_at_most_once_in_ten_seconds() -> None:
    manager = FakeSecretsManager()
    keyring = Keyring(manager.read)
    keyring.get(NOW)
    manager.stored = replace(SECRETS, jwt_secret="another secret")
    assert [keyring.reread(NOW + later) for later in (0, REREAD_AFTER - 1)] == [SECRETS] * 2
    assert manager.reads == 1
    assert [keyring.reread(NOW + REREAD_AFTER + later) for later in (0, 1)] == [manager.stored] * 2
    assert manager.reads == 2
    manager.unreachable = True
    assert keyring.reread(NOW + 2 * REREAD_AFTER) == manager.stored, "an unreachable store leaves the cached keys"
    assert [keyring.reread(NOW + 2 * REREAD_AFTER + 1), manager.reads] == [manager.stored, 3]


def test_complete_secret_is_read() -> None:
    read = DeploymentKeys.from_json(json.dumps(STORED))
    assert (read.id_key, read.jwt_secret, read.cue_secrets) == (bytes(32), "a secret", ("whsec_b2xk",))
    assert [(one.name, one.channel, one.api_key) for one in read.platforms] == [("lively", None, "key")]


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"id_key": 7}'])
def test_malformed_secret_is_unavailable(text: str) -> None:
    with pytest.raises(Unavailable):
        DeploymentKeys.from_json(text)


FAULTS: list[dict[str, Any]] = [
    *({name: None} for name in STORED), {"id_key": ""}, {"id_key": "xyz"}, {"jwt_secret": ""}, {"platforms": [{}]},
    {"platforms": [STORED["platforms"][0] | {"api_key": ""}]},
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_secret_without_one_of_its_keys_is_unavailable(fault: dict[str, Any]) -> None:
    with pytest.raises(Unavailable) as error:
        DeploymentKeys.from_json(json.dumps(STORED | fault))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_shop_without_keys_answers_unavailable(method: str) -> None:
    def no_services() -> Services:
        DeploymentKeys.from_json("{}")
        raise AssertionError

    app = LivedropApi(app_name="livedrop", configure_logs=False)
    register_routes(app, ROUTES, no_services)
    answer = LocalGateway(app, Config()).handle_request(method, "/shows/s1/live", {"host": "shop.example"}, None)
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "30")
    assert json.loads(answer["body"])["code"] == "unavailable"
