"""Make bearer tokens for operators and finance: JWTs signed with the deployment's own secret."""

from __future__ import annotations

from typing import Literal

import jwt

Scope = Literal["operator", "finance"]

WEEK_SECONDS = 7 * 24 * 3600


def token(secret: str, scope: Scope, subject: str, *, now_seconds: int, lifetime_seconds: int = WEEK_SECONDS) -> str:
    """Make a token that lets ``subject`` do what ``scope`` allows, until it expires."""
    claims = {"sub": subject, "scope": scope, "iat": now_seconds, "exp": now_seconds + lifetime_seconds}
    return jwt.encode(claims, secret, algorithm="HS256")
