"""Lists, which are current, and the search of intents, which filters by old copies (L1 to L5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.state import Record, State

_DEFAULT_LIMIT, _MAX_LIMIT = 10, 100
_PLAIN_FILTERS: Final = {
    "charge": ("payment_intent", "customer"),
    "refund": ("payment_intent", "charge"),
    "dispute": ("payment_intent", "charge"),
    "balance_transaction": ("currency", "source", "type"),
    "payout": ("status", "destination"),
    "payment_intent": ("customer",),
}
_COMPARE: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def list_records(state: State, kind: str, url: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page, newest first: 10 by default, 100 at most (L4, D)."""
    found = [one for one in reversed(state.records[kind].values()) if _passes(state, kind, one, sent)]
    return {"object": "list", "url": url, **_page(found, sent)}


def _page(found: list[Record], sent: Mapping[str, Any]) -> dict[str, Any]:
    limit = sent.get("limit", _DEFAULT_LIMIT)
    if limit > _MAX_LIMIT:
        raise refusal("parameter_invalid", param="limit", message="`limit` must be 100 or less.")
    if "starting_after" in sent:
        found = found[_place(found, sent["starting_after"], "starting_after") + 1 :]
    if "ending_before" in sent:
        found = found[: _place(found, sent["ending_before"], "ending_before")][-limit:]
    return {"has_more": len(found) > limit, "data": found[:limit]}


def _place(found: list[Record], name: str, param: str) -> int:
    for place, one in enumerate(found):
        if one["id"] == name:
            return place
    raise refusal("resource_missing_parameter", param=param, message=f"No such object: '{name}'")


def _passes(state: State, kind: str, one: Record, sent: Mapping[str, Any]) -> bool:
    if not _in_time(one["created"], sent.get("created", {})):
        return False
    if any(name in sent and one[name] != sent[name] for name in _PLAIN_FILTERS.get(kind, ())):
        return False
    if kind == "payout":
        return _in_time(one["arrival_date"], sent.get("arrival_date", {}))
    if kind == "balance_transaction" and "payout" in sent:
        payout = state.find(sent["payout"])
        known = payout is not None and payout["reconciliation_status"] == "completed"  # (B7, D)
        return known and one["_payout"] == sent["payout"]
    if kind == "event":
        return _event_passes(one, sent)
    return True


def _event_passes(one: Record, sent: Mapping[str, Any]) -> bool:
    types = sent.get("types") or ([sent["type"]] if "type" in sent else [])
    if len(types) > 20:
        raise refusal("parameter_invalid", param="types", message="`types` has 20 members at most.")
    if types and one["type"] not in types:
        return False
    wants = sent.get("delivery_success")
    delivered = not one["_failed"] and one["pending_webhooks"] == 0
    return wants is None or wants == delivered


def _in_time(created: int, window: Any) -> bool:
    if not isinstance(window, Mapping):
        return created == int(window)
    return all(_COMPARE[name](created, int(bound)) for name, bound in window.items())


def search_intents(state: State, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Find intents by what the index knew of them, and return them as they are (L1, L2, L3, D)."""
    if not state.behaviour.search:
        raise refusal("no_search")
    seen_until = state.now - state.behaviour.search_lag
    for since, until in state.outages:
        if since <= state.now < until:
            seen_until = min(seen_until, since - state.behaviour.search_lag)
    clauses = _parse(str(sent["query"]))
    found = []
    for name in reversed(state.records["payment_intent"]):
        old = [record for at, record in state.versions.get(name, ()) if at <= seen_until]
        if old and all(_matches(old[-1], *clause) for clause in clauses):
            found.append(state.get(name))
    page = {"limit": sent.get("limit", _DEFAULT_LIMIT)}
    if "page" in sent:
        page["starting_after"] = sent["page"]
    result = _page(found, page)
    next_page = result["data"][-1]["id"] if result["has_more"] else None
    return {"object": "search_result", "url": "/v1/payment_intents/search", "next_page": next_page, **result}


_CLAUSE = re.compile(
    r"""\s*(-?)(\w+)(?:\[(?:'([^']*)'|"([^"]*)")\])?\s*(:|>=|<=|>|<)\s*(?:'((?:\\.|[^'\\])*)'|"([^"]*)"|(\w+))\s*(?:AND\b|$)"""
)


def _parse(query: str) -> list[tuple[bool, str, str | None, str, str]]:
    clauses: list[tuple[bool, str, str | None, str, str]] = []
    place = 0
    while place < len(query) or not clauses:
        found = _CLAUSE.match(query, place)
        if found is None:
            raise refusal("unreadable_query", message="We were unable to parse your search query.")
        place = found.end()
        minus, name, key, other_key, operator, value, other_value, plain_value = found.groups()
        text_value = next(one for one in (value, other_value, plain_value) if one is not None)
        clauses.append((minus == "-", name, key if key is not None else other_key, operator, _unescape(text_value)))
    return clauses


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _matches(record: Record, negated: bool, name: str, key: str | None, operator: str, value: str) -> bool:
    actual = record["metadata"].get(key) if name == "metadata" else record.get(name)
    if operator == ":":
        return (str(actual) == value) != negated
    names = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
    return actual is not None and _COMPARE[names[operator]](int(actual), int(value)) != negated
