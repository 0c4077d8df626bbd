"""Read and check the parameters of a request, by the SDK's own parameter classes (specification 13.7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

import stripe

from tests.doubles.stripe.answers import refusal

_OPTIONS: Final = frozenset(stripe.RequestOptions.__annotations__)
_INTEGERS: Final = ("amount", "amount_to_capture", "limit")
_BOOLEANS: Final = {"true": True, "false": False}
_BEYOND_SDK: Final = {"payment_method_data[card]"}
"""Wallets pay by ``payment_method_data[card][token]``, which the SDK's classes leave out (X5, O)."""
_NOT_MODELLED: Final = {
    "amount_to_confirm",
    "application_fee_amount",
    "on_behalf_of",
    "reverse_transfer",
    "stripe_account",
    "transfer_data",
}
"""Parameters that move money in ways that the double does not know."""
_DESCRIPTOR: Final = 22
_METADATA_KEYS, _METADATA_KEY, _METADATA_VALUE = 50, 40, 500
_REMOVED: Final = "payment_method_types"
_REMOVED_SINCE: Final = "2026-09-30"
_LISTS: Final = frozenset(
    {"expand", "allowed_payment_method_types", "excluded_payment_method_types", "types", _REMOVED}
)


def decode(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Decode Stripe's form: ``metadata[show]=x`` is a member of a map, ``expand[0]=x`` one of a list."""
    sent: dict[str, Any] = {}
    for name, value in pairs:
        first, *rest = re.findall(r"[^\[\]]+", name)
        place, last = sent, first
        for part in rest:
            place, last = place.setdefault(last, {}), part
        place[last] = value
    return {name: _tidy(name, value) for name, value in sent.items()}


def _tidy(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if name in _LISTS:
            return [value[key] for key in sorted(value, key=int)]
        if name == "metadata":
            return value
        return {inner: _tidy(inner, one) for inner, one in value.items()}
    if name in _LISTS:
        return [value] if value else []
    return _BOOLEANS.get(value, value)


def check(version: str, sent: Mapping[str, Any], classes: tuple[str, str] | None, required: Iterable[str]) -> None:
    """Refuse unknown, missing and malformed parameters before anything is executed (E10, X1; not stored, I3)."""
    if _REMOVED in sent and version >= _REMOVED_SINCE:
        # https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents
        message = "`payment_method_types` is no longer supported. Use `allowed_payment_method_types`."
        raise refusal("payment_method_types_removed", message=message)
    known = {**(_members(*classes) if classes else {"expand": None}), _REMOVED: None}
    _check_known(sent, known, "")
    if _NOT_MODELLED & set(sent) or sent.get("final_capture") is False:
        raise NotImplementedError(f"The double does not know all of these parameters: {sorted(sent)}.")
    for name in required:
        if sent.get(name) in {None, ""}:
            raise refusal("parameter_missing", param=name, message=f"Missing required param: {name}.")
    if len(str(sent.get("statement_descriptor_suffix", ""))) > _DESCRIPTOR:
        raise refusal("parameter_invalid", code=None, param="statement_descriptor_suffix", message="It is too long.")
    _check_metadata(sent.get("metadata", {}))


def integers(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with amounts and limits as numbers."""
    found = dict(sent)
    for name in _INTEGERS:
        if name in sent:
            if not re.fullmatch(r"-?[0-9]+", str(sent[name])):
                raise refusal("parameter_invalid", param=name, message=f"Invalid integer: {sent[name]}")
            found[name] = int(sent[name])
            if found[name] < 1:
                raise refusal("parameter_invalid", param=name, message=f"This value must be 1 or more: {name}.")
    return found


def _check_known(sent: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> None:
    for name, value in sent.items():
        path = f"{prefix}[{name}]" if prefix else name
        if name not in known and path not in _BEYOND_SDK:
            raise refusal("parameter_unknown", param=path, message=f"Received unknown parameter: {path}")
        inner = known.get(name)
        if isinstance(value, dict) and inner:
            _check_known(value, _members(*inner), path)


@cache
def _members(module: str, name: str) -> Mapping[str, tuple[str, str] | None]:
    """Return the parameters of one of the SDK's classes, and the class of each that is a map of known names."""
    found = getattr(import_module(f"stripe.params.{module}"), name)
    members: dict[str, tuple[str, str] | None] = {}
    for base in reversed(found.__mro__):
        for member, annotation in getattr(base, "__annotations__", {}).items():
            text = getattr(annotation, "__forward_arg__", str(annotation))
            inner = re.findall(rf"\b{name}\w+", text)
            members[member] = (module, inner[0]) if len(inner) == 1 and "List[" not in text else None
    return {member: inner for member, inner in members.items() if member not in _OPTIONS} | {"expand": None}


def _check_metadata(metadata: Any) -> None:
    """Refuse metadata over its limits (X1, D)."""
    if not isinstance(metadata, dict):
        if metadata:
            raise refusal("metadata_too_long", message="Metadata must be a map.")
        return
    too_long = any(len(key) > _METADATA_KEY or len(value) > _METADATA_VALUE for key, value in metadata.items())
    if too_long or len(metadata) > _METADATA_KEYS:
        message = "Metadata can have 50 keys, keys of 40 characters, and values of 500 characters."
        raise refusal("metadata_too_long", message=message)
