"""The deployment's secret: keys and known platforms, read from Secrets Manager and cached for some minutes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from chalicelib import aws
from chalicelib.errors import Unavailable
from chalicelib.instants import HOUR, MINUTE, SECOND, Instant
from chalicelib.telemetry import logger

REFRESH_AFTER: Instant = 5 * MINUTE
"""How long cached keys are used before they are read again."""
MAX_AGE: Instant = HOUR
"""How long cached keys are used while they cannot be read: a show goes on while Secrets Manager is unavailable."""
REREAD_AFTER: Instant = 10 * SECOND
"""How long after a read the next one may be forced, because the cached keys verified nothing."""
RETRY_AFTER: Instant = 30 * SECOND
"""How long after a read the next one may begin, when the read failed."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A known platform: the address of its profile, the channel of its buyers, and its key to read its orders."""

    name: str
    profile: str
    channel: str | None
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class DeploymentKeys:
    """Keys and known platforms. They have no representation, so that no log can show them."""

    id_key: bytes
    jwt_secret: str
    cue_secrets: tuple[str, ...]
    platforms: tuple[Platform, ...]

    @classmethod
    def from_json(cls, text: str) -> DeploymentKeys:
        """Parse the stored secret.

        Raises: ``Unavailable`` when a key is missing, or the secret has another form.
        """
        try:
            stored: Mapping[str, Any] = json.loads(text)
            keys = cls(
                id_key=bytes.fromhex(stored["id_key"]),
                jwt_secret=stored["jwt_secret"],
                cue_secrets=tuple(stored["cue_secrets"]),
                platforms=tuple(
                    Platform(one["name"], one["profile"], one.get("channel"), one["api_key"])
                    for one in stored["platforms"]
                ),
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            raise _incomplete_keys() from None
        if not all((keys.id_key, keys.jwt_secret, *(one.api_key for one in keys.platforms))):
            raise _incomplete_keys()
        return keys


def read_deployment_keys(secrets_id: str) -> DeploymentKeys:
    """Read the deployment's secret, by one call.

    Raises: ``Unavailable`` when it is not complete.
    """
    answer = aws.client("secretsmanager").get_secret_value(SecretId=secrets_id)
    return DeploymentKeys.from_json(answer["SecretString"])


def _incomplete_keys() -> Unavailable:
    return Unavailable(
        "The keys of this deployment are not complete. Its operator must add them.",
        retry_after_seconds=RETRY_AFTER // SECOND,
    )


_Keys = TypeVar("_Keys")


class Keyring(Generic[_Keys]):
    """A cached secret: a process reads it at first use, and again when its copy is five minutes old."""

    def __init__(self, read: Callable[[], _Keys]) -> None:
        self._load = read
        self._cached: _Keys | None = None
        self._refresh_at: Instant = 0
        self._expires_at: Instant = 0
        self._reread_at: Instant = 0

    def get(self, now: Instant) -> _Keys:
        """Return the keys that are valid at an instant.

        Raises: the error of the read, when no cached keys may be used any more.
        """
        if self._cached is not None and now < min(self._refresh_at, self._expires_at):
            return self._cached
        self._refresh_at = now + RETRY_AFTER  # meanwhile other threads use the cached keys
        self._reread_at = now + REREAD_AFTER
        try:
            self._cached = self._load()
        except (Unavailable, *aws.AWS_ERRORS) as error:
            if self._cached is None or now >= self._expires_at:
                raise
            logger.warning("key refresh failed", extra={"error": type(error).__name__})
        else:
            self._refresh_at, self._expires_at = now + REFRESH_AFTER, now + MAX_AGE
        return self._cached

    def reread(self, now: Instant) -> _Keys:
        """Return the keys after a new read, because the cached ones were refused. At most one read in ten seconds.

        Raises: as :meth:`get`.
        """
        if now >= self._reread_at:
            self._refresh_at = now
        return self.get(now)
