"""A new process of the application whose payment provider is the double of Stripe, over HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from chalicelib import aws
from tests.conftest import Tables
from tests.doubles.stripe import API_KEY, Account
from tests.doubles.stripe.http_server import serve

SECRET = "the-payment-secret"


def store_key(key: str) -> None:
    """Store the API key that processes read from now on."""
    manager = boto3.client("secretsmanager")
    text = json.dumps({"api_key": key, "webhook_secrets": ["whsec_1"]})
    if manager.list_secrets()["SecretList"]:
        manager.put_secret_value(SecretId=SECRET, SecretString=text)
    else:
        manager.create_secret(Name=SECRET, SecretString=text)


@contextmanager
def stripe_process(tables: Tables, account: Account, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[Any]:
    """Import the application as a new process that calls the double. ``settings`` are variables of its environment."""
    store_key(API_KEY)
    with serve(account) as address:
        environment = {
            "PAYMENTS": "stripe",
            "PAYMENT_SECRETS_ID": SECRET,
            "STRIPE_URL": address,
            "STOCK_TABLE": tables.stock,
            "COMMERCE_TABLE": tables.commerce,
            **settings,
        }
        for name, value in environment.items():
            monkeypatch.setenv(f"LIVEDROP_{name}", value)
        monkeypatch.delitem(sys.modules, "app", raising=False)
        monkeypatch.setattr(aws, "client", boto3.client)
        import app

        yield app
