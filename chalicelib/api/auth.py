"""Who calls: bearer tokens of operators and finance, the profiles and keys of platforms, idempotency keys."""

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
    """Who holds the call's bearer token (its ``sub``). ``Unauthenticated`` without a good token, ``Forbidden`` when it
    lacks the scope. Tokens are JWTs (RFC 7519) signed by HS256 with the deployment's secret; they must expire."""
    import jwt  # costs 40 ms, and buyers never need it

    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("A bearer token is needed.", field="Authorization")
    try:
        claims = jwt.decode(
            token.strip(),
            request.services.deployment_keys.jwt_secret,
            algorithms=["HS256"],
            options={"require": ["exp", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthenticated("The bearer token does not verify.", field="Authorization") from None
    subject, expires, not_before = claims["sub"], claims["exp"], claims.get("nbf", 0)
    if not (isinstance(subject, str) and subject.strip() and type(expires) is int and type(not_before) is int):
        detail = "The bearer token must name who holds it (sub), and when it ends (exp) in whole seconds."
        raise Unauthenticated(detail, field="Authorization")
    if not not_before * 1000 <= request.now < expires * 1000:
        raise Unauthenticated("The bearer token is not valid at this time.", field="Authorization")
    granted = claims.get("scope", "")
    if scope not in (granted.split() if isinstance(granted, str) else granted if isinstance(granted, list) else ()):
        raise Forbidden(f"The token lacks the scope {scope!r}.", field="Authorization")
    return subject[:128]


def profile_of(request: ApiRequest) -> str:
    """The address of the calling platform's profile, from ``UCP-Agent``. It is never fetched. ``BadInput`` without."""
    found = _PROFILE.search(request.headers.get("ucp-agent", ""))
    if not found or not _URL.fullmatch(found[1]):
        detail = 'UCP-Agent must name the platform: profile="https://platform.example/profile".'
        raise BadInput(detail, field="UCP-Agent", code="invalid_profile_url")
    return found[1]


def caller_of(request: ApiRequest) -> Caller:
    """The calling platform and its channel; the public when its profile is not one of ours.

    A profile is but a claim. So who has no key of that platform shares idempotency keys with those alone who claim the
    same: an equal key elsewhere is another purchase.
    """
    profile = profile_of(request)
    claimed = request.services.deployment_keys.platform_of(profile)
    namespace = f"{PUBLIC}\0{profile}"
    if claimed is None:
        return Caller(PUBLIC, namespace=namespace)
    proven = platform_by_key(request)
    return Caller(claimed.name, claimed.channel, None if proven == claimed else namespace)


def authenticated_platform(request: ApiRequest) -> Platform | None:
    """The platform whose key the call carries; None for a wrong key. ``Unauthenticated`` without one."""
    if not request.headers.get("x-api-key"):
        raise Unauthenticated("Orders are for platforms: an X-API-Key is needed.", field="X-API-Key")
    return platform_by_key(request)


def platform_by_key(request: ApiRequest) -> Platform | None:
    """The platform whose key the call carries in ``X-API-Key``; None for a wrong key, or none.

    Every configured key is compared, each in constant time.
    """
    given = request.headers.get("x-api-key", "")
    matching = [
        platform
        for platform in request.services.deployment_keys.platforms
        if hmac.compare_digest(given.encode("utf-8", "replace"), platform.api_key.encode())
    ]
    return matching[0] if matching else None


def idempotency_key(request: ApiRequest) -> str:
    """The request's ``Idempotency-Key``: 1 to 255 printable ASCII characters. ``BadInput`` when missing or other."""
    key = request.headers.get("idempotency-key", "")
    if not key:
        raise BadInput("An Idempotency-Key is needed.", field="Idempotency-Key", code="idempotency_key_missing")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadInput("An Idempotency-Key has 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return key


OPERATOR, FINANCE = "operator", "finance"
