"""The page of the sandbox provider, on which a buyer authenticates, or refuses to. Only the sandbox has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.api.requests import ApiRequest, ApiResponse, Route, validate_body
from chalicelib.capture import store_event
from chalicelib.errors import Conflict, NotFound
from chalicelib.ids import is_purchase_id
from chalicelib.payments import ActionRequired, EventKind, ProviderEvent, SandboxGateway

_HTML = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Confirm your payment</title><body><main><h1>{title}</h1><p>{text}</p>{rest}</main></body></html>"""
_BUTTON = '<form method="post" action="?outcome={outcome}"><button>{words}</button></form>'


class ChallengeOutcome(BaseModel):
    """The buyer's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    outcome: Annotated[Literal["authenticated", "refused"], Field(description="The buyer's answer")]


def challenge_page(request: ApiRequest) -> ApiResponse:
    """Show the page: two buttons, or a note that the payment does not wait any more."""
    gateway, purchase_id, attempt = _challenge_in_path(request)
    if not isinstance(gateway.find(purchase_id, attempt, now=request.now), ActionRequired):
        return _page(200, "Nothing to confirm", "This payment does not wait for you any more.")
    buttons = _BUTTON.format(outcome="authenticated", words="It is me") + _BUTTON.format(
        outcome="refused", words="It is not me"
    )
    return _page(200, "Confirm your payment", "The sandbox acts as your bank. Is it you who pays?", buttons)


def submit_challenge(request: ApiRequest) -> ApiResponse:
    """Submit the buyer's answer. The product stores an event for it, as it does for a provider's webhook."""
    gateway, purchase_id, attempt = _challenge_in_path(request)
    authenticated = validate_body(ChallengeOutcome, dict(request.query)).outcome == "authenticated"
    if not gateway.answer_challenge(purchase_id, attempt, proved=authenticated):
        raise Conflict("This payment does not wait for its buyer any more.", code="not_asked")
    outcome = "authenticated" if authenticated else "refused"
    event = ProviderEvent(
        f"{purchase_id}-{attempt}", "sandbox", EventKind.PAYMENT, outcome, purchase_id=purchase_id, attempt=attempt
    )
    store_event(request.services.context, event, request.now)
    return _page(200, "Thank you", "You may go back to the shop.")


def _page(status: int, title: str, text: str, rest: str = "") -> ApiResponse:
    return ApiResponse(status, _PAGE.format(title=title, text=text, rest=rest), dict(_HTML))


def _challenge_in_path(request: ApiRequest) -> tuple[SandboxGateway, str, int]:
    gateway, purchase_id, attempt = request.services.context.gateway, request.params["id"], request.params["attempt"]
    known = is_purchase_id(purchase_id) and attempt.isascii() and attempt.isdecimal() and len(attempt) <= 3
    if not isinstance(gateway, SandboxGateway) or not known:
        raise NotFound("No page has this address.", code="not_found")
    return gateway, purchase_id, int(attempt)


_PATH = "/sandbox/challenges/{id}/{attempt}"
ROUTES = (
    Route("GET", _PATH, challenge_page, "Show the sandbox's page for a buyer", (200, 404, 503)),
    Route(
        "POST",
        _PATH,
        submit_challenge,
        "Submit a buyer's answer to the sandbox",
        (200, 400, 404, 409, 413, 503),
        query_model=ChallengeOutcome,
    ),
)
