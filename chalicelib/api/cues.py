"""Cues by HTTP, and the list of refused cues.

A cue is a CloudEvent, signed by the headers of Standard Webhooks (standardwebhooks.com) with any of several secrets.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR
from chalicelib.api.requests import ApiRequest, ApiResponse, Route, no_store_response, validate_body
from chalicelib.api.responses import Time
from chalicelib.errors import Conflict, Unauthenticated
from chalicelib.instants import rfc3339
from chalicelib.schema import Id
from chalicelib.shows import CueApplied, CueRefused, RefusedCue, parse_cue


class RefusedCuesQuery(BaseModel):
    """Which refused cues are listed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    subject: Annotated[
        Id | None,
        Field(description="The id of a drop, or of a show for the cues of all its drops, among the newest thousand"),
    ] = None


class CueResponse(TypedDict):
    """A cue that was applied, or had been applied before."""

    id: str
    status: Literal["applied", "repeated"]


class RefusedCueResponse(TypedDict):
    """A cue that was refused: ``reason`` is the code, ``detail`` the sentence; ``time`` is the cue's own."""

    time: Time
    source: str
    id: str
    type: str
    subject: str
    reason: str
    detail: str
    received_at: Time


class RefusedCuesResponse(TypedDict):
    """Refused cues, newest first."""

    cues: list[RefusedCueResponse]


def receive_cue(request: ApiRequest) -> ApiResponse:
    """Apply a cue. The answer is 202 for an applied cue, 200 for a repeat, and 409 with the reason for a refusal."""
    _verify_signature(request)
    cue = parse_cue(request.json())
    outcome = request.services.shows.apply_cue(cue, request.now)
    if isinstance(outcome, CueRefused):
        raise Conflict(outcome.detail, code=outcome.code)
    applied = isinstance(outcome, CueApplied)
    return ApiResponse(202 if applied else 200, {"id": cue.id, "status": "applied" if applied else "repeated"})


def list_refused_cues(request: ApiRequest) -> ApiResponse:
    """List the newest hundred refused cues of the last thirty days, newest first."""
    query = validate_body(RefusedCuesQuery, dict(request.query))
    refused = request.services.shows.refused_cues(query.subject)
    body: RefusedCuesResponse = {"cues": [_refused_cue_response(cue) for cue in refused]}
    return no_store_response(200, {**body})


def _refused_cue_response(cue: RefusedCue) -> RefusedCueResponse:
    return {
        "time": rfc3339(cue.time),
        "source": cue.source,
        "id": cue.id,
        "type": cue.type,
        "subject": cue.subject,
        "reason": cue.code,
        "detail": cue.detail,
        "received_at": rfc3339(cue.refused_at),
    }


def _verify_signature(request: ApiRequest) -> None:
    """Check that one of the secrets signed this body less than five minutes ago.

    Raises: ``Unauthenticated`` otherwise.
    """
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    for secret in request.services.deployment_keys.cue_secrets:
        try:
            Webhook(secret).verify(request.body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: not base64, not UTF-8, or no comma
            continue
        return
    raise Unauthenticated(
        "`webhook-signature` must be a signature of this body, less than five minutes old.", field="webhook-signature"
    )


ROUTES = (
    Route(
        "POST",
        "/cues",
        receive_cue,
        "Apply a cue",
        (200, 202, 400, 401, 409, 413, 415, 503),
        response_model=CueResponse,
    ),
    Route(
        "GET",
        "/cues/refused",
        list_refused_cues,
        "List refused cues",
        (200, 400, 401, 403, 503),
        scope=OPERATOR,
        response_model=RefusedCuesResponse,
        query_model=RefusedCuesQuery,
    ),
)
