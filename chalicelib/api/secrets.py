"""The deployment's secret: keys and known platforms, read from Secrets Manager once a process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib import aws


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform we know: its profile address, the channel its buyers come by, and its key to read its orders."""

    name: str
    profile: str
    channel: str | None
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """Keys and known platforms. Never logged: it has no representation."""

    id_key: bytes
    jwt_secret: str
    cue_secrets: tuple[str, ...]
    platforms: tuple[Platform, ...]

    @classmethod
    def from_json(cls, text: str) -> Secrets:
        """The secret's JSON as it is stored. ``KeyError`` or ``ValueError`` when it is not of our form."""
        stored: Mapping[str, Any] = json.loads(text)
        return cls(
            id_key=bytes.fromhex(stored["id_key"]),
            jwt_secret=stored["jwt_secret"],
            cue_secrets=tuple(stored["cue_secrets"]),
            platforms=tuple(
                Platform(one["name"], one["profile"], one.get("channel"), one["api_key"]) for one in stored["platforms"]
            ),
        )

    def platform_of(self, profile: str) -> Platform | None:
        """The platform with this profile address; None for the public."""
        return next((one for one in self.platforms if one.profile == profile), None)


def read_secrets(secrets_id: str) -> Secrets:
    """The deployment's secret: one call. Whoever composes the process keeps the answer."""
    answer = aws.client("secretsmanager").get_secret_value(SecretId=secrets_id)
    return Secrets.from_json(answer["SecretString"])
