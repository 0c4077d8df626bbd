"""Expansion: an id is replaced by its object only where the request asks for it (P8, S)."""

from __future__ import annotations

from typing import Any, Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.state import Record, State, wire

_ANY, _REFUNDS = "any", "list of refunds"
_EXPANDABLE: Final[dict[str, dict[str, str]]] = {
    "payment_intent": {
        "latest_charge": "charge",
        "payment_method": "payment_method",
        "review": "review",
        "customer": "customer",
    },
    "charge": {
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
        "review": "review",
        "refunds": _REFUNDS,
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
        "charge": "charge",
        "payment_intent": "payment_intent",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "balance_transaction": {"source": _ANY},
    "payout": {
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
    },
    "review": {"charge": "charge", "payment_intent": "payment_intent"},
    "payment_method": {"customer": "customer"},
    _REFUNDS: {"data": "refund"},
}
"""The members of each kind that can be expanded, and what they become. ``any`` is checked when it is known."""
_MAX_DEPTH: Final = 4


def check_paths(operation: str, paths: list[str]) -> None:
    """Refuse paths that no answer of an operation has, before it is executed."""
    path_of_kind, _, verb = operation.rpartition(".")
    for path in paths:
        parts = path.split(".")
        if len(parts) > _MAX_DEPTH + 1:
            raise refusal("not_expandable", message="You cannot expand more than 4 levels of a property.")
        if verb in {"list", "search"}:
            if parts[0] != "data" or len(parts) == 1:
                raise _not_expandable(parts[0])
            parts = parts[1:]
        kind = path_of_kind.removesuffix("s")
        for part in parts:
            if kind == _ANY:
                break
            kind = _EXPANDABLE.get(kind, {}).get(part, "")
            if not kind:
                raise _not_expandable(part)


def _not_expandable(name: str) -> Exception:
    return refusal("not_expandable", message=f"This property cannot be expanded ({name}).")


def render(state: State, record: Record, paths: list[str]) -> dict[str, Any]:
    """Return an object, a list or a search result as Stripe sends it, with its expanded members."""
    shown = wire(record)
    members: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        members.setdefault(name, []).extend([rest] if rest else [])
    if isinstance(shown.get("data"), list):
        return {**shown, "data": [render(state, one, members.get("data", [])) for one in shown["data"]]}
    for name, inner in members.items():
        if name not in _EXPANDABLE.get(shown["object"], {}):
            raise _not_expandable(name)
        shown[name] = _expanded(state, record, name, inner)
    return shown


def _expanded(state: State, record: Record, name: str, inner: list[str]) -> Any:
    if name == "refunds":
        made = [one for one in reversed(state.records["refund"].values()) if one["charge"] == record["id"]]
        url = f"/v1/charges/{record['id']}/refunds"
        return render(state, {"object": "list", "url": url, "has_more": len(made) > 10, "data": made[:10]}, inner)
    name_of_it = record.get(name)
    found = state.find(name_of_it) if name_of_it else None
    return render(state, found, inner) if found is not None else name_of_it
