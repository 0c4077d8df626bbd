"""The provider's keys, in a secret that only functions which call the provider may read."""

from __future__ import annotations

import json
from dataclasses import dataclass

from chalicelib import aws
from chalicelib.errors import Unavailable


@dataclass(frozen=True, slots=True, repr=False)
class ProviderKeys:
    """The key of the provider's API, and its webhook secrets (two while one replaces the other). Never logged."""

    api_key: str
    webhook_secrets: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> ProviderKeys:
        """Parse the stored secret.

        Raises:
            Unavailable: a key is missing.
        """
        try:
            stored = json.loads(text)
            keys = cls(stored["api_key"], tuple(stored["webhook_secrets"]))
            complete = all(isinstance(key, str) and key for key in (keys.api_key, *keys.webhook_secrets))
        except (KeyError, ValueError, TypeError):
            complete = False
        if not complete:
            raise Unavailable(
                "The payment provider's keys are incomplete. Set them with `livedrop payments keys`.",
                retry_after_seconds=30,
            )
        return keys


def read_provider_keys(secrets_id: str) -> ProviderKeys:
    """Read the provider's keys. One call."""
    return ProviderKeys.from_json(aws.client("secretsmanager").get_secret_value(SecretId=secrets_id)["SecretString"])
