"""The bridge between Chalice and the views: errors, cross-origin rules and one log line for every route."""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chalice.app import Chalice, Request, Response

from chalicelib import aws, instants
from chalicelib.api.auth import idempotency_key, require_scope
from chalicelib.api.requests import MAX_BODY_BYTES, ApiRequest, ApiResponse, ErrorFormat, Json, Route
from chalicelib.api.services import Services
from chalicelib.errors import BadInput, LivedropError, TooLarge, Unavailable, UnsupportedMedia
from chalicelib.telemetry import flush, logger, report_broken_invariant

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_EXPOSED_HEADERS = "ETag, Location, Retry-After"
_ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Request-Id, UCP-Agent, X-API-Key"
_STATUS_TITLES = {
    400: "The request is wrong",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    415: "Unsupported media type",
    500: "Internal error",
    503: "Unavailable",
}
_INTERNAL_ERROR = "The request failed by an internal error. Retry it with the same key."
_UNAVAILABLE = "A service of the shop is unavailable. Retry later."
_CHALICE_ERROR_CODES = {400: BadInput.code, 405: "method_not_allowed", 415: UnsupportedMedia.code}
"""Codes of the errors that Chalice answers by itself. Any other is an internal error."""


class LivedropApi(Chalice):
    """Chalice for a server with several threads, and for events that lack optional parts."""

    _thread_local = threading.local()

    @property
    def current_request(self) -> Any:
        """Return the request that this thread handles."""
        return getattr(self._thread_local, "request", None)

    @current_request.setter
    def current_request(self, request: Any) -> None:
        self._thread_local.request = request

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Handle one proxy event of API Gateway (REST), or of the local gateway."""
        complete_event = {"multiValueQueryStringParameters": None, "stageVariables": None, "body": None} | event
        complete_event["headers"] = event.get("headers") or {}
        complete_event["pathParameters"] = event.get("pathParameters") or {}
        response: dict[str, Any] = super().__call__(complete_event, context)
        return response


def register_routes(app: LivedropApi, routes: Sequence[Route], get_services: Callable[[], Services]) -> None:
    """Register the routes, a HEAD beside each GET, and an OPTIONS on each path.

    API Gateway serves only registered methods, so that HEAD has to be a route of its own. ``get_services`` is called
    at each request.
    """
    methods: dict[str, list[str]] = {}
    heads = [replace(route, method="HEAD") for route in routes if route.method == "GET"]
    for route in [*routes, *heads]:
        _register(app, route.method, route.path, make_view(app, route, get_services))
        methods.setdefault(route.path, []).append(route.method)
    for path, path_methods in methods.items():
        _register(app, "OPTIONS", path, _preflight(app, path_methods, get_services))
    app.register_middleware(_chalice_error_as_problem, "http")


def _register(app: LivedropApi, method: str, path: str, view: Callable[..., Response]) -> None:
    name = re.sub(r"\W+", "_", f"{method.lower()}{path}")
    app.route(path, methods=[method], name=name, content_types=["*/*"])(view)


def make_view(app: LivedropApi, route: Route, get_services: Callable[[], Services]) -> Callable[..., Response]:
    """Return the function that Chalice calls: it runs the view, and turns every error into an answer."""

    def view(**params: str) -> Response:
        request, started = app.current_request, time.perf_counter()
        headers = {name.lower(): value for name, value in request.headers.items() if isinstance(value, str)}
        error_code, cors_headers = None, {}
        try:
            services = get_services()
            cors_headers = _cors_headers(headers, services.settings.cors_origins)
            api_response = _run_view(route, services, request, params, headers)
        except LivedropError as error:
            report_broken_invariant(error)
            api_response, error_code = error_response(error, route.error_format), error.code
        except aws.AWS_ERRORS as error:
            logger.warning("aws call failed", extra={"error": type(error).__name__})
            api_response, error_code = (
                error_response(Unavailable(_UNAVAILABLE), route.error_format),
                "unavailable",
            )
        except Exception:
            logger.exception("view failed")
            api_response, error_code = (
                error_response(
                    LivedropError(_INTERNAL_ERROR),
                    route.error_format,
                ),
                "internal_error",
            )
        api_response.headers.update(cors_headers)
        response = _to_chalice_response(api_response)
        if route.method == "HEAD":
            response.body = ""
        _log_request(route, api_response, error_code, started)
        flush()
        return response

    return view


def _run_view(
    route: Route,
    services: Services,
    request: Request,
    params: Mapping[str, str],
    headers: Mapping[str, str],
) -> ApiResponse:
    """Check the size, the caller and the idempotency key, in this order. Then call the view."""
    base_url, body = _base_url(request, headers, services.settings.public_url), _read_body(request)
    api_request = ApiRequest(services, instants.clock(), params, headers, body, base_url, request.query_params or {})
    if route.scope:
        require_scope(api_request, route.scope)
    if route.requires_idempotency_key:
        idempotency_key(api_request)
    return route.view(api_request)


def _read_body(request: Request) -> bytes:
    """Return the raw body.

    Raises: ``TooLarge``, before the body is decoded; ``BadInput`` for a body that cannot be decoded.
    """
    event = request.to_original_event()
    encoded_body = event.get("body")
    if not encoded_body:
        return b""
    is_base64 = bool(event.get("isBase64Encoded"))
    if len(encoded_body) > (MAX_BODY_BYTES * 4 // 3 + 4 if is_base64 else MAX_BODY_BYTES):
        raise TooLarge(f"The body must have at most {MAX_BODY_BYTES} bytes.")
    try:
        raw = encoded_body if isinstance(encoded_body, bytes) else encoded_body.encode()
        body: bytes = base64.b64decode(raw, validate=True) if is_base64 else raw
    except (UnicodeEncodeError, binascii.Error):
        raise BadInput(
            "The body must be UTF-8 text, or base64 where the event says so.", field="$", code="malformed_json"
        ) from None
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The body must have at most {MAX_BODY_BYTES} bytes.")
    return body


def _base_url(request: Request, headers: Mapping[str, str], public_url: str) -> str:
    """Return the address of this API for links: the configured one, or the one of the request with its stage."""
    if public_url:
        return public_url.rstrip("/")
    context = request.context
    host = str(context.get("domainName") or headers.get("host", ""))
    if not _HOST.fullmatch(host):
        host = "localhost"
    scheme = "https" if headers.get("x-forwarded-proto") == "https" or context.get("domainName") else "http"
    stage = f"/{context.get('stage')}"
    return f"{scheme}://{host}" + (stage if str(context.get("path", "")).startswith(stage + "/") else "")


def error_response(error: LivedropError, error_format: ErrorFormat) -> ApiResponse:
    """Return the answer of an error, in UCP's form or as a problem document (RFC 9457)."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401 and error.field == "Authorization":
        headers["WWW-Authenticate"] = "Bearer"
    if error_format == "ucp":
        body: Json = {"code": error.code, "content": error.detail}
    else:
        headers["Content-Type"] = "application/problem+json"
        body = problem_document(error.status, error.code, error.detail)
    if error.field:
        body["field"] = error.field
    return ApiResponse(error.status, body, headers)


def problem_document(status: int, code: str, detail: str) -> Json:
    """Return a problem document (RFC 9457)."""
    title = _STATUS_TITLES.get(status, "Error")
    return {"type": f"urn:livedrop:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}


def _to_chalice_response(api_response: ApiResponse) -> Response:
    is_text = api_response.body is None or isinstance(api_response.body, str)
    text = (api_response.body or "") if is_text else json.dumps(api_response.body, separators=(",", ":"))
    headers: dict[str, str | list[str]] = {} if is_text else {"Content-Type": "application/json"}
    return Response(body=text, status_code=api_response.status, headers={**headers, **api_response.headers})


def _cors_headers(headers: Mapping[str, str], origins: Sequence[str]) -> dict[str, str]:
    """Return the headers by which a page of a configured origin may read the answer (Fetch standard, CORS protocol)."""
    if not origins:
        return {}
    origin = headers.get("origin", "")
    if "*" in origins:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED_HEADERS}
    if origin not in origins:
        return {"Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED_HEADERS, "Vary": "Origin"}


def _preflight(
    app: LivedropApi, methods: Sequence[str], get_services: Callable[[], Services]
) -> Callable[..., Response]:
    def view(**_: str) -> Response:
        request_headers = {name.lower(): value for name, value in app.current_request.headers.items()}
        try:
            headers = _cors_headers(request_headers, get_services().settings.cors_origins)
        except LivedropError as error:
            return _to_chalice_response(error_response(error, "problem"))
        except aws.AWS_ERRORS:
            return _to_chalice_response(error_response(Unavailable(_UNAVAILABLE), "problem"))
        if "Access-Control-Allow-Origin" in headers:
            preflight_headers = {"Access-Control-Allow-Headers": _ALLOWED_HEADERS, "Access-Control-Max-Age": "600"}
            headers |= preflight_headers | {"Access-Control-Allow-Methods": ", ".join(sorted(methods))}
        return _to_chalice_response(
            ApiResponse(204, None, headers | {"Allow": ", ".join(sorted([*methods, "OPTIONS"]))})
        )

    return view


def _chalice_error_as_problem(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Turn an error of Chalice itself, such as an unknown method, into a problem document."""
    response = get_response(event)
    if isinstance(response.body, dict) and {"Code", "Message"} <= response.body.keys():
        status = response.status_code
        body = problem_document(status, _CHALICE_ERROR_CODES.get(status, LivedropError.code), response.body["Message"])
        headers = {name: value for name, value in response.headers.items() if isinstance(value, str)}
        return _to_chalice_response(ApiResponse(status, body, headers | {"Content-Type": "application/problem+json"}))
    return response


def _log_request(route: Route, api_response: ApiResponse, error_code: str | None, started: float) -> None:
    """Log one line for each request. It has the path of the route, so that it shows no id and no personal data."""
    took_ms = round((time.perf_counter() - started) * 1000, 1)
    fields = {"method": route.method, "route": route.path, "status": api_response.status, "took_ms": took_ms}
    logger.info("request", extra=fields | ({"reason": error_code} if error_code else {}))
