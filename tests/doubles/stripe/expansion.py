"""Expansion: an id is replaced by its object only where the request asks for it (P8, S)."""

from __future__ import annotations

from typing import Any, Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.state import Record, State, wire

_EXPANDABLE: Final = {
    "payment_intent": {"latest_charge", "payment_method", "review", "customer"},
    "charge": {"balance_transaction", "failure_balance_transaction", "payment_intent", "review", "refunds"},
    "refund": {"balance_transaction", "failure_balance_transaction", "charge", "payment_intent"},
    "dispute": {"charge", "payment_intent"},
    "balance_transaction": {"source"},
    "payout": {"balance_transaction", "failure_balance_transaction"},
    "review": {"charge", "payment_intent"},
    "radar.early_fraud_warning": {"charge", "payment_intent"},
    "confirmation_token": set(),
    "payment_method": {"customer"},
    "event": set(),
}
_MAX_DEPTH: Final = 4


def render(state: State, record: Record, paths: list[str]) -> dict[str, Any]:
    """Return an object, a list or a search result as Stripe sends it, with its expanded members."""
    shown = wire(record)
    if isinstance(shown.get("data"), list):
        inner = [_below(path, "data") for path in paths]
        shown["data"] = [render(state, one, inner) for one in shown["data"]]
        return shown
    for name, inner in _by_member(paths).items():
        if name not in _EXPANDABLE.get(shown["object"], set()):
            raise refusal("not_expandable", message=f"This property cannot be expanded ({name}).")
        shown[name] = _expanded(state, record, name, inner)
    return shown


def _by_member(paths: list[str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for path in paths:
        if path.count(".") >= _MAX_DEPTH:
            raise refusal("not_expandable", message="You cannot expand more than 4 levels of a property.")
        name, _, rest = path.partition(".")
        members.setdefault(name, []).extend([rest] if rest else [])
    return members


def _expanded(state: State, record: Record, name: str, inner: list[str]) -> Any:
    if name == "refunds":
        made = [one for one in reversed(state.records["refund"].values()) if one["charge"] == record["id"]]
        data = [render(state, one, []) for one in made[:10]]
        url = f"/v1/charges/{record['id']}/refunds"
        return {"object": "list", "url": url, "has_more": len(made) > 10, "data": data}
    name_of_it = record.get(name)
    found = state.find(name_of_it) if name_of_it else None
    return render(state, found, inner) if found is not None else name_of_it


def _below(path: str, parent: str) -> str:
    first, _, rest = path.partition(".")
    if first != parent or not rest:
        raise refusal("not_expandable", message=f"This property cannot be expanded ({first}).")
    return rest
