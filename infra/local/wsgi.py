"""The application's Chalice app as a WSGI application, for an off-the-shelf server: what API Gateway is on AWS.

Chalice's own local gateway makes the proxy events, so the app sees what it sees on AWS. Start it with the environment
of the deployed HTTP function; it is imported once in each worker process.
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

BODY_LIMIT = 1_000_000
"""A larger body is not handed on: the app gets one byte more than this, and answers 413 in the route's own terms."""
_DISCARD_LIMIT = 32_000_000
_CHUNK = 65_536

_NOT_FOUND_DETAIL = "There is nothing at this address."
_NO_ROUTE = {"type": "urn:livedrop:problem:not_found", "title": "Not found", "status": 404, "code": "not_found"}
_NO_ROUTE |= {"detail": _NOT_FOUND_DETAIL, "content": _NOT_FOUND_DETAIL}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

_gateway = LocalGateway(app, Config.create(lambda_timeout=30))


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request."""
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
    except ForbiddenError:  # no such route; API Gateway's answer to it is set in the template
        response = {
            "statusCode": 404,
            "headers": {"Content-Type": "application/problem+json"},
            "body": json.dumps(_NO_ROUTE),
        }
    body = _content(response)
    headers = _response_headers(response)
    if method != "HEAD":  # whose answer says nothing of the length that the body of a GET would have
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
    source = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length and int(length) <= BODY_LIMIT:
        whole: bytes = source.read(int(length))
        return whole
    if not length and environ.get("HTTP_TRANSFER_ENCODING", "").lower() != "chunked":
        return b""
    begun: bytes = source.read(BODY_LIMIT + 1)
    if len(begun) <= BODY_LIMIT:
        return begun
    discarded = 0
    while discarded < _DISCARD_LIMIT and (chunk := source.read(_CHUNK)):
        discarded += len(chunk)
    return begun


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
