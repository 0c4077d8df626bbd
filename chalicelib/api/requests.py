"""What a call is, what it is answered, and how its body is read: nothing here knows Chalice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from chalicelib.api.services import Services
from chalicelib.errors import BadInput, NotFound, TooLarge, UnsupportedMedia
from chalicelib.ids import parse_order_id
from chalicelib.instants import Instant
from chalicelib.purchase import order_not_found
from chalicelib.schema import StrictModel, is_id, to_bad_input

MAX_BODY_BYTES = 1_000_000
_MAX_DEPTH = 64
_JSON_TYPES = re.compile(r"\s*application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE | re.DOTALL)

Json = dict[str, Any]
ErrorFormat = Literal["ucp", "problem"]
"""How a route tells errors: as UCP does (``code`` and ``content``), or as problem documents (RFC 9457)."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """An answer. ``body`` None: no content; text: as it is, its type among the headers."""

    status: int
    body: Mapping[str, object] | str | None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request: where it goes, what it carries, and the instant at which it came. Header names are lower case."""

    services: Services
    now: Instant
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    query: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Json:
        """The body as a JSON object. ``BadInput`` for anything else; ``UnsupportedMedia`` for another content type."""
        content_type = self.headers.get("content-type")
        if content_type and not _JSON_TYPES.fullmatch(content_type):
            raise UnsupportedMedia("The body must be application/json.", field="Content-Type")
        return parse_json_object(self.body)

    def optional_json(self) -> Json:
        """Like :meth:`json`, and an empty body is an empty object."""
        return self.json() if self.body.strip() else {}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API: what the app serves and what the OpenAPI document says come from the same row.

    ``scope`` is what the bearer token must have; ``key`` whether an Idempotency-Key is required; ``request`` the model
    of the body and ``answer`` the type of a good answer's body, for the document; ``query`` the model of the query.
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
    """A JSON object (RFC 8259): UTF-8, no NaN or Infinity, at most 64 levels deep. ``BadInput`` for anything else."""
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The body may have {MAX_BODY_BYTES} bytes at most.")
    try:
        value = json.loads(body.decode(), parse_constant=_reject_constant)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # refuses lone surrogates and overflown floats
    except (ValueError, RecursionError):
        raise BadInput("The body is not well-formed JSON.", field="$", code="malformed_json") from None
    if not isinstance(value, dict):
        raise BadInput("The body must be a JSON object.", field="$")
    if _is_deeper_than(value, _MAX_DEPTH):
        raise BadInput(f"The body may be nested {_MAX_DEPTH} levels deep at most.", field="$")
    return value


def _is_deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper_than(part, levels - 1) for part in inner)


def fingerprint(*parts: object) -> str:
    """SHA-256 of values in canonical JSON: equal for equal content, whatever the order of keys and the white space."""
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


class EmptyBody(StrictModel):
    """A body without fields; it may be left out."""


def no_store_response(status: int, body: Mapping[str, object]) -> ApiResponse:
    return ApiResponse(status, body, {"Cache-Control": "no-store"})


def drop_id_in_path(request: ApiRequest) -> str:
    if not is_id(request.params["id"]):
        raise NotFound("There is no such drop.", field="id")
    return request.params["id"]


def purchase_id_of_order(request: ApiRequest) -> str:
    purchase_id = parse_order_id(request.params["id"])
    if purchase_id is None:
        raise order_not_found()
    return purchase_id
