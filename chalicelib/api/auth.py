"""Identify callers: bearer tokens of operators and finance, profiles and keys of platforms, idempotency keys."""

from __future__ import annotations

import hmac
import re

from chalicelib.api.deployment_keys import Platform
from chalicelib.api.requests import ApiRequest
from chalicelib.errors import BadInput, Forbidden, Unauthenticated
from chalicelib.purchase import Caller

PUBLIC = "public"
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# RFC 8941, section 3.2: a dictionary with a member ``profile`` whose value is a string, parameters allowed.
_PROFILE = re.compile(r'(?:^|,)[ \t]*profile="([^"\\]{1,2048})"[ \t]*(?:;[^,"]*)?(?=,|$)')
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*")


def require_scope(request: ApiRequest, scope: str) -> str:
    """Return the holder of the request's bearer token (its ``sub``), at most 128 characters.

    Tokens are JWTs (RFC 7519), signed by HS256 with the deployment's secret. They must expire.

    Raises: ``Unauthenticated`` without a valid token; ``Forbidden`` when the token lacks the scope.
    """
    import jwt  # costs 40 ms at a cold start, and buyers never need it

    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("A bearer token is required: `Authorization: Bearer …`.", field="Authorization")
    try:
        claims = jwt.decode(
            token.strip(),
            request.services.deployment_keys.jwt_secret,
            algorithms=["HS256"],
            options={"require": ["exp", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthenticated("The bearer token must be signed by this deployment.", field="Authorization") from None
    subject, expires, not_before = claims["sub"], claims["exp"], claims.get("nbf", 0)
    if not (isinstance(subject, str) and subject.strip() and type(expires) is int and type(not_before) is int):
        detail = "The bearer token must have `sub`, its holder, and `exp`, its end in whole seconds."
        raise Unauthenticated(detail, field="Authorization")
    if not not_before * 1000 <= request.now < expires * 1000:
        raise Unauthenticated("The bearer token is expired or not valid yet. Make a new one.", field="Authorization")
    granted = claims.get("scope", "")
    if scope not in (granted.split() if isinstance(granted, str) else granted if isinstance(granted, list) else ()):
        raise Forbidden(f"The bearer token must have the scope {scope!r}.", field="Authorization")
    return subject[:128]


def profile_of(request: ApiRequest) -> str:
    """Return the address of the calling platform's profile, from ``UCP-Agent``. The product never fetches it.

    Raises: ``BadInput`` without such an address.
    """
    found = _PROFILE.search(request.headers.get("ucp-agent", ""))
    if not found or not _URL.fullmatch(found[1]):
        detail = '`UCP-Agent` must name the platform: profile="https://platform.example/profile".'
        raise BadInput(detail, field="UCP-Agent", code="invalid_profile_url")
    return found[1]


def caller_of(request: ApiRequest) -> Caller:
    """Return the calling platform and its channel; the public for an unknown profile.

    A profile is only a claim. A caller without the platform's key shares idempotency keys only with callers that claim
    the same profile. An equal key of any other caller is another purchase.
    """
    profile = profile_of(request)
    platforms = request.services.deployment_keys.platforms
    claimed = next((platform for platform in platforms if platform.profile == profile), None)
    namespace = f"{PUBLIC}\0{profile}"
    if claimed is None:
        return Caller(PUBLIC, namespace=namespace)
    proven = platform_by_key(request)
    return Caller(claimed.name, claimed.channel, None if proven == claimed else namespace)


def authenticated_platform(request: ApiRequest) -> Platform | None:
    """Return the platform whose key the request has; None for a wrong key.

    Raises: ``Unauthenticated`` without a key.
    """
    if not request.headers.get("x-api-key"):
        raise Unauthenticated("An `X-API-Key` is required to read an order.", field="X-API-Key")
    return platform_by_key(request)


def platform_by_key(request: ApiRequest) -> Platform | None:
    """Return the platform whose key the request has in ``X-API-Key``; None for a wrong key, or none.

    The function compares every configured key, each in constant time.
    """
    given = request.headers.get("x-api-key", "")
    matching = [
        platform
        for platform in request.services.deployment_keys.platforms
        if hmac.compare_digest(given.encode("utf-8", "replace"), platform.api_key.encode())
    ]
    return matching[0] if matching else None


def idempotency_key(request: ApiRequest) -> str:
    """Return the request's ``Idempotency-Key``: 1 to 255 printable ASCII characters.

    Raises: ``BadInput`` without such a key.
    """
    key = request.headers.get("idempotency-key", "")
    if not key:
        raise BadInput("An `Idempotency-Key` is required.", field="Idempotency-Key", code="idempotency_key_missing")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadInput("`Idempotency-Key` must have 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return key


OPERATOR, FINANCE = "operator", "finance"
