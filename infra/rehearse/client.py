"""Call the running stack over HTTP. Each call is repeated with the same key and body until it is answered."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx

from infra.rehearse.measures import Measurements
from infra.rehearse.stack_info import StackInfo

MAX_CONNECTIONS: Final = 32
RETRY_TIMEOUT_SECONDS: Final = 180
"""How long a call is repeated without an answer: a rehearsal may kill the stack, which then restarts."""
_FIRST_PAUSE, _MAX_PAUSE = 0.1, 2.0
_RETRIED_STATUSES: Final = {429, 500, 502, 503, 504}


class StepFailed(Exception):
    """A step of the rehearsal failed. The message names the step."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status and its JSON body, empty when there is none."""

    status: int
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.status} {json.dumps(self.body)[:400]}"


class Client:
    """Calls to one stack, by role. ``measures`` records latencies and repeats; a seeded source jitters the pauses.

    A repeat has the same Idempotency-Key. The stack therefore applies a call once, even when its answer was lost.
    """

    def __init__(
        self,
        stack_info: StackInfo,
        measures: Measurements,
        seed: str,
        retry_timeout_seconds: float = RETRY_TIMEOUT_SECONDS,
    ) -> None:
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        timeout = httpx.Timeout(60, connect=5, pool=None)
        self._http = httpx.AsyncClient(base_url=stack_info.http, limits=limits, timeout=timeout, trust_env=False)
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._retry_timeout_seconds = retry_timeout_seconds
        self._buyer = {"UCP-Agent": f'profile="{stack_info.platform_profile}"', "X-API-Key": stack_info.platform_key}
        self._operator = {"Authorization": f"Bearer {stack_info.operator_token}"}
        self._finance = {"Authorization": f"Bearer {stack_info.finance_token}"}
        self.measures = measures

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def as_buyer(
        self, step: str, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Reply:
        """Call the buyers' API with the platform's key."""
        return await self._call(step, method, path, body, self._buyer | ({"Idempotency-Key": key} if key else {}))

    async def as_operator(
        self, step: str, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Reply:
        return await self._call(step, method, path, body, self._operator | ({"Idempotency-Key": key} if key else {}))

    async def as_finance(
        self, step: str, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Reply:
        return await self._call(step, method, path, body, self._finance | ({"Idempotency-Key": key} if key else {}))

    async def signed(self, step: str, path: str, content: bytes, sign: Callable[[bytes], Mapping[str, str]]) -> Reply:
        """Send a signed POST. Each repeat gets a new signature, because signatures expire."""
        return await self._call_until_answered(step, "POST", path, content, lambda: sign(content))

    async def _call(
        self, step: str, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        typed = headers if body is None else {**headers, "Content-Type": "application/json"}
        return await self._call_until_answered(step, method, path, content, lambda: typed)

    async def _call_until_answered(
        self, step: str, method: str, path: str, content: bytes, headers: Callable[[], Mapping[str, str]]
    ) -> Reply:
        deadline: float | None = None
        pause = _FIRST_PAUSE
        while True:
            begun = time.monotonic()
            try:
                response = await self._http.request(method, path, content=content or None, headers=headers())
            except httpx.TransportError as error:
                fault, wait = f"{type(error).__name__}: {error}", 0.0
            else:
                if response.status_code not in _RETRIED_STATUSES:
                    self.measures.observe(step, time.monotonic() - begun)
                    return Reply(response.status_code, _json(response))
                fault, wait = f"{response.status_code} {response.text[:200]}", _retry_after(response)
            self.measures.count(f"repeated after {fault.split(':', maxsplit=1)[0].split(' ', maxsplit=1)[0]}")
            deadline = deadline or begun + self._retry_timeout_seconds
            if time.monotonic() > deadline:
                raise StepFailed(f"{method} {path}: no answer in {self._retry_timeout_seconds:.0f} s, at last {fault}")
            await self.pause(max(pause, wait))
            pause = min(pause * 2, _MAX_PAUSE)

    async def pause(self, seconds: float) -> None:
        """Wait for 0.5 to 1.5 times the given seconds."""
        await asyncio.sleep(seconds * self._random.uniform(0.5, 1.5))


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {"": body}


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("Retry-After", "0")), _MAX_PAUSE)
    except ValueError:
        return 0.0
