"""The face without sockets: the unmodified SDK calls the double in its own process."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe
from requests.structures import CaseInsensitiveDict

from tests.doubles.stripe.api import ConnectionBroken, Request, Response, handle
from tests.doubles.stripe.parameters import decode
from tests.doubles.stripe.state import API_VERSION, State

_connection_error: Any = stripe.APIConnectionError


def to_request(method: str, url: str, headers: Mapping[str, str], form: str) -> Request:
    """Read a request as the SDK sends it."""
    parts = urlsplit(url)
    named = {name.lower(): value for name, value in headers.items()}
    api_key = named.get("authorization", "").removeprefix("Bearer ")
    sent = decode(parse_qsl(form or parts.query, keep_blank_values=True))
    version = named.get("stripe-version", API_VERSION)
    return Request(method.upper(), parts.path, sent, api_key, named.get("idempotency-key"), version)


def to_text(response: Response) -> str:
    """Write the body of an answer."""
    return response.body if isinstance(response.body, str) else json.dumps(response.body)


class InProcessClient(stripe.HTTPClient):
    """An HTTP client of the SDK that ends in an account. It copies along with the account."""

    name = "in process"

    def __init__(self, account: Any) -> None:
        """Connect to an :class:`~tests.doubles.stripe.account.Account`."""
        super().__init__()
        self.account = account

    def __deepcopy__(self, memo: dict[int, Any]) -> InProcessClient:
        return InProcessClient(copy.deepcopy(self.account, memo))

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        state: State = self.account.state
        try:
            response = handle(state, to_request(method, url, headers or {}, post_data or ""))
        except ConnectionBroken as broken:
            message = "Unexpected error communicating with Stripe."
            raise _connection_error(message, should_retry=not broken.timed_out) from broken
        return to_text(response), response.status, CaseInsensitiveDict(response.headers)

    def close(self) -> None:
        """Close nothing."""
