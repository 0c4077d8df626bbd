"""Serve the Chalice app as a WSGI application, in place of API Gateway.

Chalice's local gateway makes the same proxy events as AWS. Start the server with the environment of the deployed HTTP
function. Each worker process imports this module once.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from http.client import responses
from typing import Any
from urllib.parse import quote

from chalice.config import Config
from chalice.local import ForbiddenError, LocalGateway

from app import app
from chalicelib.api.requests import MAX_BODY_BYTES

_MAX_DISCARDED_BYTES = 32_000_000
_CHUNK = 65_536

_NOT_FOUND_DETAIL = "There is nothing at this address."
_NO_ROUTE = {"type": "urn:livedrop:problem:not_found", "title": "Not found", "status": 404, "code": "not_found"}
_NO_ROUTE |= {"detail": _NOT_FOUND_DETAIL, "content": _NOT_FOUND_DETAIL}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

_gateway = LocalGateway(app, Config.create(lambda_timeout=30))


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request with Chalice's local gateway."""
    method = environ["REQUEST_METHOD"]
    path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
    query = environ.get("QUERY_STRING", "")
    try:
        response = _gateway.handle_request(
            method,
            f"{path}?{query}" if query else path,
            _headers(environ),
            _body(environ),
        )
    except ForbiddenError:  # no such route; the template sets API Gateway's answer
        response = {
            "statusCode": 404,
            "headers": {"Content-Type": "application/problem+json"},
            "body": json.dumps(_NO_ROUTE),
        }
    body = _content(response)
    headers = _response_headers(response)
    if method != "HEAD":  # the length would be that of an empty body, not that of the GET's
        headers.append(("Content-Length", str(len(body))))
    status = response["statusCode"]
    start_response(f"{status} {responses.get(status, '')}", headers)
    return [body]


def _headers(environ: Environ) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def _body(environ: Environ) -> bytes:
    """Read the body, at most one byte more than the app accepts: the app answers 413 in the route's own format."""
    source = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length and int(length) <= MAX_BODY_BYTES:
        whole: bytes = source.read(int(length))
        return whole
    if not length and environ.get("HTTP_TRANSFER_ENCODING", "").lower() != "chunked":
        return b""
    prefix: bytes = source.read(MAX_BODY_BYTES + 1)
    if len(prefix) > MAX_BODY_BYTES:
        _discard(source)
    return prefix


def _discard(source: Any) -> None:
    """Read the rest of a body and drop it, up to a bound."""
    discarded = 0
    while discarded < _MAX_DISCARDED_BYTES and (chunk := source.read(_CHUNK)):
        discarded += len(chunk)


def _content(response: dict[str, Any]) -> bytes:
    body = response.get("body") or b""
    if isinstance(body, str):
        return base64.b64decode(body) if response.get("isBase64Encoded") else body.encode()
    content: bytes = body
    return content


def _response_headers(response: dict[str, Any]) -> list[tuple[str, str]]:
    single = [(name, str(value)) for name, value in (response.get("headers") or {}).items()]
    several = [
        (name, str(value)) for name, values in (response.get("multiValueHeaders") or {}).items() for value in values
    ]
    return [(name, value) for name, value in single + several if name.lower() != "content-length"]
