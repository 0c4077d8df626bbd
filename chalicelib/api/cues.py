"""Cues by HTTP: a CloudEvent signed by Standard Webhooks headers (standardwebhooks.com), any of several secrets."""

from __future__ import annotations

from chalicelib.api import responses
from chalicelib.api.requests import ApiRequest, ApiResponse, Route
from chalicelib.errors import Conflict, Unauthenticated
from chalicelib.shows import CueApplied, CueRefused, parse_cue


def receive_cue(request: ApiRequest) -> ApiResponse:
    """Apply a cue: 202 applied, 200 a repeat, 409 refused with the reason."""
    _verify_signature(request)
    cue = parse_cue(request.json())
    outcome = request.services.shows.apply_cue(cue, request.now)
    if isinstance(outcome, CueRefused):
        raise Conflict(outcome.detail, code=outcome.code)
    applied = isinstance(outcome, CueApplied)
    return ApiResponse(202 if applied else 200, {"id": cue.id, "status": "applied" if applied else "repeated"})


def _verify_signature(request: ApiRequest) -> None:
    """``Unauthenticated`` unless one of the secrets signed this body less than five minutes ago."""
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    for secret in request.services.deployment_keys.cue_secrets:
        try:
            Webhook(secret).verify(request.body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: what is not base64, not UTF-8, or lacks a comma
            continue
        return
    raise Unauthenticated("The signature is missing, wrong or stale.", field="webhook-signature")


ROUTES = (
    Route(
        "POST",
        "/cues",
        receive_cue,
        "problem",
        "Tell a cue",
        (200, 202, 400, 401, 409, 413, 415, 503),
        response_model=responses.Cue,
    ),
)
