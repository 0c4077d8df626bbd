"""The OpenAPI document (3.1), built from the routes and models that the app uses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from chalicelib.api.buyers.ucp_responses import VERSION
from chalicelib.api.requests import Json, Route

_UCP_SCHEMAS = f"https://ucp.dev/{VERSION}/schemas/shopping"
_UCP_RESPONSE_SCHEMAS = {
    "carts": "cart.json",
    "checkout-sessions": "fulfillment.json#/$defs/dev.ucp.shopping.checkout",
    "orders": "order.json",
    "catalog": "catalog_lookup.json#/$defs/lookup_response",
}
_REF = "#/components/schemas/{model}"
_HEADER_DESCRIPTIONS = {
    "UCP-Agent": 'The calling platform (RFC 8941 dictionary): profile="https://platform.example/profile"',
    "X-API-Key": "The platform's key",
    "Idempotency-Key": "1 to 255 printable ASCII characters; an equal key and body are the same request",
    "If-None-Match": "The ETag of the caller's copy",
    "webhook-id": "Standard Webhooks: the message's id",
    "webhook-timestamp": "Standard Webhooks: seconds since the epoch",
    "webhook-signature": "Standard Webhooks: v1,<base64 HMAC-SHA-256>",
}
_STATUS_DESCRIPTIONS = {
    200: "Done, or a business outcome in `messages`",
    201: "Created",
    202: "Accepted",
    304: "Not modified",
    400: "The request is wrong; the field is named",
    401: "Not authenticated",
    403: "The token lacks the scope",
    404: "Nothing has this id",
    409: "Refused in the present state, or the key was used for another request",
    413: "The body is over 1 MB",
    415: "The body is not JSON",
    503: "A service is unavailable; Retry-After has the seconds until a retry",
}


def build_openapi(routes: Sequence[Route], base_url: str) -> Json:
    """Build the OpenAPI 3.1 document of the routes."""
    schemas: Json = {
        "UcpError": _object_schema(["code", "content"], code="string", content="string", field="string"),
        "Problem": _object_schema(
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


def _object_schema(required: list[str], **types: str) -> Json:
    return {
        "type": "object",
        "required": required,
        "properties": {name: {"type": kind} for name, kind in types.items()},
    }


def _operation(route: Route, schemas: Json) -> Json:
    operation: Json = {
        "operationId": route.view.__name__,
        "summary": route.summary,
        "description": route.view.__doc__ or route.summary,
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route),
            *(_header_parameter(name) for name in _header_names(route)),
        ],
        "responses": {str(status): _response(route, status, schemas) for status in route.statuses},
    }
    if route.scope:
        operation["security"] = [{"bearer": [route.scope]}]
    if route.request_model:
        body = _add_schema(
            route.request_model.__name__, route.request_model.model_json_schema(ref_template=_REF), schemas
        )
        operation["requestBody"] = {"required": True, "content": _json_content(body)}
    elif route.path == "/cues":
        event = {"type": "object", "description": "A CloudEvents 1.0 JSON event"}
        operation["requestBody"] = {"required": True, "content": _json_content(event, "application/cloudevents+json")}
    return operation


def _path_parameters(route: Route) -> list[Json]:
    names = re.findall(r"\{(\w+)\}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route) -> list[Json]:
    properties: Json = {} if route.query_model is None else route.query_model.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description"), "schema": schema}
        for name, schema in properties.items()
    ]


def _header_names(route: Route) -> list[str]:
    names = ["UCP-Agent"] if route.error_format == "ucp" else []
    if route.requires_idempotency_key:
        names.append("Idempotency-Key")
    if route.error_format == "ucp" and route.path == "/orders/{id}":
        names.append("X-API-Key")
    if 304 in route.statuses:
        names.append("If-None-Match")
    return names + (
        [name for name in _HEADER_DESCRIPTIONS if name.startswith("webhook-")] if route.path == "/cues" else []
    )


def _header_parameter(name: str) -> Json:
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "required": name != "If-None-Match",
        "schema": schema,
        "description": _HEADER_DESCRIPTIONS[name],
    }


def _response(route: Route, status: int, schemas: Json) -> Json:
    response: Json = {"description": _STATUS_DESCRIPTIONS[status]}
    if status >= 400:
        ucp = route.error_format == "ucp"
        reference = {"$ref": f"#/components/schemas/{'UcpError' if ucp else 'Problem'}"}
        response["content"] = _json_content(reference, "application/json" if ucp else "application/problem+json")
    elif status != 304:
        response["content"] = _json_content(_response_schema(route, schemas))
    return response


def _response_schema(route: Route, schemas: Json) -> Json:
    if route.error_format == "ucp":
        schema_path = _UCP_RESPONSE_SCHEMAS[route.path.split("/")[1]]
        return {"anyOf": [{"$ref": f"{_UCP_SCHEMAS}/{name}"} for name in (schema_path, "types/error_response.json")]}
    if route.response_model is None:
        return {"type": "object"}
    return _add_schema(
        route.response_model.__name__, TypeAdapter(route.response_model).json_schema(ref_template=_REF), schemas
    )


def _add_schema(name: str, schema: Json, schemas: Json) -> Json:
    """Add a schema, and those that it refers to, to the document. Return the reference to it."""
    schemas |= schema.pop("$defs", {})
    schemas[name] = schema
    return {"$ref": _REF.format(model=name)}


def _json_content(schema: Json, kind: str = "application/json") -> dict[str, Any]:
    return {kind: {"schema": schema}}
