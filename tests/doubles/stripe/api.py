"""The API: routes, and the order in which Stripe looks at a request before and after it executes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from tests.doubles.stripe import captures, payment_intents, refunds
from tests.doubles.stripe.answers import Refusal, refusal
from tests.doubles.stripe.balance import read_balance
from tests.doubles.stripe.expansion import check_paths, render
from tests.doubles.stripe.faults import Fault, choose
from tests.doubles.stripe.idempotency import MAX_KEY, Stored, begin, end, fingerprint, look_up
from tests.doubles.stripe.parameters import check, integers
from tests.doubles.stripe.rates import limit
from tests.doubles.stripe.search import list_records, search_intents
from tests.doubles.stripe.state import API_VERSION, Cause, Record, State
from tests.doubles.stripe.tokens import find_token

Answered = tuple[int, Any, Mapping[str, str]]
Execute = Callable[[State, str, Mapping[str, Any]], Record]


@dataclass(frozen=True)
class Request:
    """A request as it arrives. ``sent`` are its decoded parameters."""

    method: str
    path: str
    sent: Mapping[str, Any]
    api_key: str | None
    idempotency_key: str | None = None
    version: str = API_VERSION
    operation: str = "unknown"
    name: str = ""
    """The id in the path."""


@dataclass(frozen=True)
class Response:
    """An answer. A body that is a string is no JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class ConnectionBroken(Exception):
    """The client got no answer: the connection was closed, or the client gave up waiting."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__("timed out" if timed_out else "closed")
        self.timed_out = timed_out


@dataclass(frozen=True)
class Route:
    """One endpoint: a verb and a path pattern, which share one rate limiter (T1, D)."""

    operation: str
    method: str
    pattern: str
    execute: Execute
    classes: tuple[str, str] | None = None
    """Module and class of the SDK's parameters."""
    required: tuple[str, ...] = ()


def _read(kind: str, state: State, name: str, sent: Mapping[str, Any]) -> Record:
    return state.named(kind, name)


def _read_token(state: State, name: str, sent: Mapping[str, Any]) -> Record:
    return find_token(state, name) or state.named("confirmation_token", name)


def _list(kind: str, url: str, state: State, name: str, sent: Mapping[str, Any]) -> Record:
    return list_records(state, kind, url, sent)


def _resource(path: str, kind: str, module: str) -> list[Route]:
    """Return the routes that read one object and list all."""
    name = path.replace("/", ".")
    class_name = "".join(part.capitalize() for part in module.split("_"))
    listing = (f"_{module}_list_params", f"{class_name}ListParams")
    retrieval = (f"_{module}_retrieve_params", f"{class_name}RetrieveParams")
    return [
        Route(f"{name}.list", "GET", f"/v1/{path}", partial(_list, kind, f"/v1/{path}"), listing),
        Route(f"{name}.retrieve", "GET", f"/v1/{path}/{{id}}", partial(_read, kind), retrieval),
    ]


def _intent_class(verb: str) -> tuple[str, str]:
    return f"_payment_intent_{verb}_params", f"PaymentIntent{verb.capitalize()}Params"


ROUTES: Final = (
    Route(
        "payment_intents.search",
        "GET",
        "/v1/payment_intents/search",
        lambda state, _, sent: search_intents(state, sent),
        _intent_class("search"),
        ("query",),
    ),
    Route(
        "payment_intents.create",
        "POST",
        "/v1/payment_intents",
        lambda state, _, sent: payment_intents.create(state, sent),
        _intent_class("create"),
        ("amount", "currency"),
    ),
    *_resource("payment_intents", "payment_intent", "payment_intent"),
    *(
        Route(
            f"payment_intents.{verb}",
            "POST",
            "/v1/payment_intents/{id}" + ("" if verb == "update" else f"/{verb}"),
            execute,
            _intent_class(verb),
        )
        for verb, execute in (
            ("update", payment_intents.update),
            ("confirm", payment_intents.confirm),
            ("capture", captures.capture),
            ("cancel", payment_intents.cancel),
        )
    ),
    *_resource("charges", "charge", "charge"),
    Route(
        "refunds.create",
        "POST",
        "/v1/refunds",
        lambda state, _, sent: refunds.create(state, sent),
        ("_refund_create_params", "RefundCreateParams"),
    ),
    Route("refunds.cancel", "POST", "/v1/refunds/{id}/cancel", refunds.cancel),
    *_resource("refunds", "refund", "refund"),
    *_resource("disputes", "dispute", "dispute"),
    Route("balance.retrieve", "GET", "/v1/balance", lambda state, _, sent: read_balance(state)),
    *_resource("balance_transactions", "balance_transaction", "balance_transaction"),
    *_resource("payouts", "payout", "payout"),
    *_resource("events", "event", "event"),
    *_resource("reviews", "review", "review"),
    Route("payment_methods.retrieve", "GET", "/v1/payment_methods/{id}", _read_token),
    Route("confirmation_tokens.retrieve", "GET", "/v1/confirmation_tokens/{id}", _read_token),
)
_PATTERNS: Final = tuple((route, re.compile(route.pattern.replace("{id}", "([^/]+)"))) for route in ROUTES)


def route_of(method: str, path: str) -> tuple[Route, str] | None:
    """Return the route of a path, and the id in it."""
    for route, pattern in _PATTERNS:
        found = pattern.fullmatch(path) if route.method == method else None
        if found:
            return route, found[1] if found.groups() else ""
    return None


def handle(state: State, request: Request) -> Response:
    """Answer one request, with its fault.

    Raises: ``ConnectionBroken`` when the client gets no answer.
    """
    state.catch_up()
    found = route_of(request.method, request.path)
    if found is None:
        raise NotImplementedError(f"The double has no {request.method} {request.path}.")
    route, name = found
    key = request.idempotency_key if request.method == "POST" else None  # ignored on GET and DELETE (I7, D)
    request = replace(request, idempotency_key=key, operation=route.operation, name=name)
    state.calls.append((state.now, route.operation))
    fault = choose(state, request)
    if fault is not None and fault.kind == "late":
        begin(state, key or f"unnamed {state.count('call')}", _fingerprint(request))
        state.after(fault.takes, _execute_late, request, route)
        raise ConnectionBroken(timed_out=True)
    if fault is not None and not fault.after_effect:
        return _fail(state, request, fault)
    response = _answer(state, request, route)
    return response if fault is None else _fail(state, request, fault)


def _fingerprint(request: Request) -> str:
    return fingerprint(request.method, request.path, request.sent)


def _fail(state: State, request: Request, fault: Fault) -> Response:
    if fault.kind in {"closed", "timeout"}:
        raise ConnectionBroken(timed_out=fault.kind == "timeout")
    if fault.kind == "garbage":
        return Response(200, "<html>Bad gateway</html>")
    refused = refusal(fault.answer)
    answered = refused.answer.status, refused.body(), refused.answer.headers
    if request.idempotency_key is not None and fault.after_effect and fault.forgotten:
        end(state, request.idempotency_key, _fingerprint(request), None)
    if request.idempotency_key is not None and fault.stored:
        end(state, request.idempotency_key, _fingerprint(request), answered)
    return _response(state, answered)


def _execute_late(state: State, request: Request, route: Route) -> None:
    if request.idempotency_key is not None:
        end(state, request.idempotency_key, _fingerprint(request), None)
    _answer(state, request, route)


def _answer(state: State, request: Request, route: Route) -> Response:
    """Look at keys, limits, parameters and locks, which store nothing (I3, D). Then execute, and store (I1, D)."""
    key = request.idempotency_key
    try:
        _authenticate(state, request)
        limit(state, route.operation)
        known = _known(state, request)
        if known is not None:
            assert known.status is not None
            return _response(state, (known.status, known.body, known.headers or {}), replayed=True)
        check(request.version, request.sent, route.classes, route.required)
        check_paths(route.operation, request.sent.get("expand", []))
        sent = integers(dict(request.sent))
        if request.method == "POST" and _is_locked(state, request):
            raise refusal("lock_timeout", message="This object cannot be accessed right now: another request uses it.")
    except Refusal as refused:
        return _response(state, (refused.answer.status, refused.body(), refused.answer.headers))
    state.cause = Cause(f"req_{state.count('request'):014d}", key)
    answered, is_stored = _execute(state, route, request.name, sent)
    state.cause = Cause()
    if key is not None and is_stored:
        end(state, key, _fingerprint(request), answered)
    return _response(state, answered)


def _is_locked(state: State, request: Request) -> bool:
    names = (request.name, request.sent.get("payment_intent"), request.sent.get("charge"))
    return any(state.locks.get(name, 0) > state.now for name in names if name)


def _known(state: State, request: Request) -> Stored | None:
    key = request.idempotency_key
    if key is None:
        return None
    if len(key) > MAX_KEY:
        raise refusal("parameter_invalid", code=None, message="Idempotency keys have 255 characters at most.")
    return look_up(state, key, _fingerprint(request))


def _execute(state: State, route: Route, name: str, sent: Mapping[str, Any]) -> tuple[Answered, bool]:
    try:
        paths = list(sent.get("expand", []))
        executed = route.execute(state, name, {member: sent[member] for member in sent if member != "expand"})
        return (200, render(state, executed, paths), {}), True
    except Refusal as refused:
        return (refused.answer.status, refused.body(), refused.answer.headers), refused.answer.stored


def _authenticate(state: State, request: Request) -> None:
    """Check the API key and its rights (E25, D)."""
    rights = state.keys.get(request.api_key or "")
    if rights is None:
        raise refusal("key_unknown", message="Invalid API Key provided.")
    if rights == "expired":
        raise refusal("key_expired", message="Expired API Key provided.")
    if rights != "full" and request.operation not in rights:
        raise refusal("key_restricted", message="The provided key does not have the required permissions.")


def _response(state: State, answered: Answered, *, replayed: bool = False) -> Response:
    status, body, headers = answered
    own = {
        "Request-Id": f"req_{state.counters.get('request', 0):014d}",
        "Stripe-Version": API_VERSION,
        **({"Idempotent-Replayed": "true"} if replayed else {}),
    }
    return Response(status, body, {**headers, **own})
