"""Check answers with the protocol's own schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_ROOT = Path(__file__).parent / "ucp_schemas"
_SCHEMAS = [json.loads(path.read_text()) for path in sorted(_ROOT.rglob("*.json"))]
_REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in _SCHEMAS if "$id" in schema
)
_BASE = "https://ucp.dev/schemas/"
CHECKOUT = _BASE + "shopping/fulfillment.json#/$defs/dev.ucp.shopping.checkout"
CHECKOUT_WITH_DISCOUNT = _BASE + "shopping/discount.json#/$defs/dev.ucp.shopping.checkout"
CART_WITH_DISCOUNT = _BASE + "shopping/discount.json#/$defs/dev.ucp.shopping.cart"
CART = _BASE + "shopping/cart.json"
ORDER = _BASE + "shopping/order.json"
LOOKUP = _BASE + "shopping/catalog_lookup.json#/$defs/lookup_response"
ERROR = _BASE + "shopping/types/error_response.json"
# Of the profile its one required member: profile_schema.json refers to it by a path that its own $id does not lead to.
BUSINESS = _BASE + "ucp.json#/$defs/business_schema"


def assert_valid(schema: str, body: object) -> None:
    """Check that the body is valid in the schema."""
    validator = Draft202012Validator(
        {"$ref": schema}, registry=_REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)] == []
