"""The provider's keys: a secret of its own, which only functions that talk with the provider may read."""

from __future__ import annotations

import json
from dataclasses import dataclass

from chalicelib import aws
from chalicelib.errors import Unavailable


@dataclass(frozen=True, slots=True, repr=False)
class ProviderKeys:
    """Key of the provider's API, and the secrets of its webhooks (two while one replaces the other). Never logged."""

    api_key: str
    webhook_secrets: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> ProviderKeys:
        """The secret as it is stored. ``Unavailable`` when it is not complete."""
        try:
            stored = json.loads(text)
            keys = cls(stored["api_key"], tuple(stored["webhook_secrets"]))
            complete = all(isinstance(one, str) and one for one in (keys.api_key, *keys.webhook_secrets))
        except (KeyError, ValueError, TypeError):
            complete = False
        if not complete:
            raise Unavailable("The payment provider's keys are not complete.", retry_after_seconds=30)
        return keys


def read_provider_keys(secrets_id: str) -> ProviderKeys:
    """The provider's keys: one call."""
    return ProviderKeys.from_json(aws.client("secretsmanager").get_secret_value(SecretId=secrets_id)["SecretString"])
