"""Requests, answers and routes, and how a body is read. Nothing in this file depends on Chalice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from chalicelib.api.services import Services
from chalicelib.errors import BadInput, TooLarge, UnsupportedMedia
from chalicelib.ids import parse_order_id
from chalicelib.instants import Instant
from chalicelib.purchase import order_not_found
from chalicelib.schema import StrictModel, is_id, to_bad_input
from chalicelib.shows import drop_not_found

MAX_BODY_BYTES = 1_000_000
_MAX_DEPTH = 64
_JSON_TYPES = re.compile(r"\s*application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE | re.DOTALL)

Json = dict[str, Any]
ErrorFormat = Literal["ucp", "problem"]
"""The form of a route's errors: UCP's (``code`` and ``content``), or problem documents (RFC 9457)."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """An answer. ``body``: None for no content, a mapping for JSON, or text whose type is among the headers."""

    status: int
    body: Mapping[str, object] | str | None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request and the instant of its arrival. Header names are lower case."""

    services: Services
    now: Instant
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    query: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Json:
        """Return the body as a JSON object.

        Raises: ``BadInput`` for any other body; ``UnsupportedMedia`` for another content type.
        """
        content_type = self.headers.get("content-type")
        if content_type and not _JSON_TYPES.fullmatch(content_type):
            raise UnsupportedMedia("`Content-Type` must be application/json.", field="Content-Type")
        return parse_json_object(self.body)

    def optional_json(self) -> Json:
        """Return the body as a JSON object. An empty body is an empty object."""
        return self.json() if self.body.strip() else {}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API. The app serves it, and the OpenAPI document shows it.

    ``scope`` is the scope that the bearer token must have. ``response_model`` is the type of the body of a good answer.
    """

    method: str
    path: str
    view: Callable[[ApiRequest], ApiResponse]
    summary: str
    statuses: tuple[int, ...]
    _: KW_ONLY
    request_model: type[BaseModel] | None = None
    query_model: type[BaseModel] | None = None
    response_model: type | None = None
    scope: str | None = None
    requires_idempotency_key: bool = False
    error_format: ErrorFormat = "problem"


def _reject_constant(text: str) -> NoReturn:
    raise ValueError(text)


def parse_json_object(body: bytes) -> Json:
    """Parse a JSON object (RFC 8259): UTF-8, no NaN or Infinity, at most 64 levels deep.

    Raises: ``TooLarge`` above 1 MB; ``BadInput`` for anything else.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The body must have at most {MAX_BODY_BYTES} bytes.")
    try:
        value = json.loads(body.decode(), parse_constant=_reject_constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # rejects lone surrogates, overflow
    except (ValueError, RecursionError):
        raise BadInput("The body must be well-formed JSON.", field="$", code="malformed_json") from None
    if not isinstance(value, dict):
        raise BadInput("The body must be a JSON object.", field="$")
    if _is_deeper_than(value, _MAX_DEPTH):
        raise BadInput(f"The body must be nested at most {_MAX_DEPTH} levels deep.", field="$")
    return value


def _is_deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper_than(part, levels - 1) for part in inner)


def fingerprint(*parts: object) -> str:
    """Return the SHA-256 of values in canonical JSON. The order of keys and the white space do not change it."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


_Model = TypeVar("_Model", bound=BaseModel)


def validate_body(model: type[_Model], body: Json) -> _Model:
    """The body as a model. ``BadInput`` names the first wrong field by its JSONPath (RFC 9535)."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise to_bad_input(error) from None


OPERATOR_ERRORS = (400, 401, 403, 409, 413, 415, 503)
"""Statuses of the errors of operators' routes that have a body."""


class EmptyBody(StrictModel):
    """A body without fields. The caller may leave it out."""


def no_store_response(status: int, body: Mapping[str, object]) -> ApiResponse:
    """Return an answer that no cache may store."""
    return ApiResponse(status, body, {"Cache-Control": "no-store"})


def drop_id_in_path(request: ApiRequest) -> str:
    """Return the drop's id in the path.

    Raises: ``NotFound`` when no drop can have this id.
    """
    if not is_id(request.params["id"]):
        raise drop_not_found()
    return request.params["id"]


def purchase_id_of_order(request: ApiRequest) -> str:
    purchase_id = parse_order_id(request.params["id"])
    if purchase_id is None:
        raise order_not_found()
    return purchase_id
