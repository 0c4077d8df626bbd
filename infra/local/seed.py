"""Put the sample show into a fresh local stack over HTTP, as an operator would."""

from __future__ import annotations

import json
from typing import Any, Final

import httpx

from infra.paths import ROOT

SHOW: Final = ROOT / "infra" / "sample" / "show.json"


def seed(api: str, operator_token: str) -> str:
    """Put the sample show and its drops and return the show's id. A repeat changes nothing.

    Raises: RuntimeError, with the API's answer, when the API refuses.
    """
    sample: dict[str, Any] = json.loads(SHOW.read_text())
    bearer = {"Authorization": f"Bearer {operator_token}"}
    with httpx.Client(base_url=api, headers=bearer, timeout=60) as http:
        _put(http, f"shows/{sample['show_id']}", sample["show"])
        for drop in sample["drops"]:
            _put(http, f"drops/{drop['drop_id']}", _drop_request(sample, drop))
    return str(sample["show_id"])


def _drop_request(sample: dict[str, Any], drop: dict[str, Any]) -> dict[str, Any]:
    return {
        "show_id": sample["show_id"],
        "sku": drop["sku"],
        "title": drop["title"],
        "unit_price": {"amount": drop["pence"], "currency": sample["show"]["currency"]},
        "stock": drop["stock"],
        "opens_at": sample["opens_at"],
    }


def _put(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    response = http.put(path, json=body)
    if response.is_error:
        raise RuntimeError(f"PUT {path} was answered {response.status_code}: {response.text}")
