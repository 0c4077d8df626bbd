"""A warm process of the deployment pays on after the provider's key was rotated and the old one revoked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from chalicelib import aws
from chalicelib.instants import SECOND
from chalicelib.payments import Authorised, ProviderBusyError
from tests.conftest import Tables
from tests.doubles.stripe import API_KEY, Account, Behaviour
from tests.doubles.stripe.http_server import serve
from tests.payments.stripe_requests import NOW, a_request

SECRET, NEW_KEY = "the-payment-secret", "sk_test_2"


def store_key(key: str) -> None:
    manager = boto3.client("secretsmanager")
    text = json.dumps({"api_key": key, "webhook_secrets": ["whsec_1"]})
    if manager.list_secrets()["SecretList"]:
        manager.put_secret_value(SecretId=SECRET, SecretString=text)
    else:
        manager.create_secret(Name=SECRET, SecretString=text)


@pytest.fixture
def account() -> Account:
    return Account(Behaviour.kind(), api_keys=(API_KEY, NEW_KEY))


@pytest.fixture
def process(tables: Tables, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import the application as a new process that calls the double."""
    store_key(API_KEY)
    with serve(account) as address:
        environment = {
            "PAYMENTS": "stripe",
            "PAYMENT_SECRETS_ID": SECRET,
            "STRIPE_URL": address,
            "COMMERCE_TABLE": tables.commerce,
            "PROVIDER_RATE": "0",
        }
        for name, value in environment.items():
            monkeypatch.setenv(f"LIVEDROP_{name}", value)
        monkeypatch.delitem(sys.modules, "app", raising=False)
        monkeypatch.setattr(aws, "client", boto3.client)
        import app

        yield app


def test_a_warm_process_uses_the_new_key_at_the_first_refusal(
    process: Any, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = NOW
    monkeypatch.setattr(process, "clock", lambda: present)
    gateway = process.gateway()
    assert isinstance(gateway.authorise(a_request(), now=NOW), Authorised)
    store_key(NEW_KEY)
    account.set_key(API_KEY, None)
    with pytest.raises(ProviderBusyError) as busy:
        gateway.authorise(a_request(attempt=2), now=NOW)
    assert busy.value.retry_in_seconds == 60, "the key was read less than ten seconds ago"
    present += 11 * SECOND
    assert isinstance(gateway.authorise(a_request(attempt=2), now=NOW), Authorised)
