"""The OpenAPI document (3.1), made from the routes and models that serve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from chalicelib.api.calls import Json, Route
from chalicelib.api.ucp_views import VERSION

_UCP_SCHEMAS = f"https://ucp.dev/{VERSION}/schemas/shopping"
_UCP_ANSWERS = {
    "carts": "cart.json",
    "checkout-sessions": "fulfillment.json#/$defs/dev.ucp.shopping.checkout",
    "orders": "order.json",
    "catalog": "catalog_lookup.json#/$defs/lookup_response",
}
_REF = "#/components/schemas/{model}"
_HEADERS = {
    "UCP-Agent": 'The calling platform (RFC 8941 dictionary): profile="https://platform.example/profile"',
    "X-API-Key": "The platform's key",
    "Idempotency-Key": "The same key and body mean the same request; 1 to 255 printable ASCII characters",
    "If-None-Match": "The ETag last seen",
    "webhook-id": "Standard Webhooks: the message's id",
    "webhook-timestamp": "Standard Webhooks: seconds since the epoch",
    "webhook-signature": "Standard Webhooks: v1,<base64 HMAC-SHA-256>",
}
_MEANINGS = {
    200: "Done, or a business outcome told in `messages`",
    201: "Created",
    202: "Accepted",
    304: "Not modified",
    400: "The request is wrong; the field is named",
    401: "Not authenticated",
    403: "The token lacks the scope",
    404: "Unknown",
    409: "Refused as things stand, or the key was used for another request",
    413: "The body is over 1 MB",
    415: "The body is not JSON",
    503: "A part of the shop cannot be reached; Retry-After says when to ask again",
}


def build_openapi(routes: Sequence[Route], base_url: str) -> Json:
    """The whole API as OpenAPI 3.1."""
    schemas: Json = {
        "UcpError": _object(["code", "content"], code="string", content="string", field="string"),
        "Problem": _object(
            ["type", "title", "status", "detail", "code"],
            type="string",
            title="string",
            status="integer",
            detail="string",
            code="string",
            field="string",
        ),
    }
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "livedrop",
            "version": "0.1.0",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _object(required: list[str], **types: str) -> Json:
    return {
        "type": "object",
        "required": required,
        "properties": {name: {"type": kind} for name, kind in types.items()},
    }


def _operation(route: Route, schemas: Json) -> Json:
    said: Json = {
        "operationId": route.view.__name__,
        "summary": route.summary,
        "description": route.view.__doc__ or route.summary,
        "parameters": [*_in_path(route), *_in_query(route), *(_header(name) for name in _headers(route))],
        "responses": {str(status): _response(route, status, schemas) for status in route.statuses},
    }
    if route.scope:
        said["security"] = [{"bearer": [route.scope]}]
    if route.request_model:
        body = _named(route.request_model.__name__, route.request_model.model_json_schema(ref_template=_REF), schemas)
        said["requestBody"] = {"required": True, "content": _json(body)}
    elif route.path == "/cues":
        event = {"type": "object", "description": "A CloudEvents 1.0 JSON event"}
        said["requestBody"] = {"required": True, "content": _json(event, "application/cloudevents+json")}
    return said


def _in_path(route: Route) -> list[Json]:
    names = re.findall(r"\{(\w+)\}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(route: Route) -> list[Json]:
    known: Json = {} if route.query_model is None else route.query_model.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": schema}
        for name, schema in known.items()
    ]


def _headers(route: Route) -> list[str]:
    names = ["UCP-Agent"] if route.error_format == "ucp" else []
    if route.requires_idempotency_key:
        names.append("Idempotency-Key")
    if route.error_format == "ucp" and route.path == "/orders/{id}":
        names.append("X-API-Key")
    if 304 in route.statuses:
        names.append("If-None-Match")
    return names + ([name for name in _HEADERS if name.startswith("webhook-")] if route.path == "/cues" else [])


def _header(name: str) -> Json:
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "required": name != "If-None-Match",
        "schema": schema,
        "description": _HEADERS[name],
    }


def _response(route: Route, status: int, schemas: Json) -> Json:
    said: Json = {"description": _MEANINGS[status]}
    if status >= 400:
        ucp = route.error_format == "ucp"
        reference = {"$ref": f"#/components/schemas/{'UcpError' if ucp else 'Problem'}"}
        said["content"] = _json(reference, "application/json" if ucp else "application/problem+json")
    elif status != 304:
        said["content"] = _json(_answer(route, schemas))
    return said


def _answer(route: Route, schemas: Json) -> Json:
    if route.error_format == "ucp":
        named = _UCP_ANSWERS[route.path.split("/")[1]]
        return {"anyOf": [{"$ref": f"{_UCP_SCHEMAS}/{name}"} for name in (named, "types/error_response.json")]}
    if route.response_model is None:
        return {"type": "object"}
    return _named(
        route.response_model.__name__, TypeAdapter(route.response_model).json_schema(ref_template=_REF), schemas
    )


def _named(name: str, schema: Json, schemas: Json) -> Json:
    """Put a schema and those it refers to among the document's; answers the reference to it."""
    schemas |= schema.pop("$defs", {})
    schemas[name] = schema
    return {"$ref": _REF.format(model=name)}


def _json(schema: Json, kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": schema}}
