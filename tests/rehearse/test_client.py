"""The client repeats a call until it is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from infra.rehearse.client import Client, Reply, StepFailed
from infra.rehearse.measures import Measurements, percentiles
from infra.rehearse.stack_info import StackInfo


@dataclass
class Server:
    """Answer each request with the next answer of a list; None closes the connection without one."""

    answers: list[tuple[int, dict[str, object]] | None]
    keys: list[str] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        self.bodies.append(json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}"))
        self.keys.append(headers.get("idempotency-key", ""))
        answer = self.answers.pop(0)
        if answer is not None:
            status, body = answer
            content = json.dumps(body).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + content)
        writer.close()
        await writer.wait_closed()


def call_server(
    server: Server, call: Callable[[Client], Awaitable[Reply]], retry_timeout_seconds: float = 20
) -> tuple[Reply, Measurements]:
    async def both() -> tuple[Reply, Measurements]:
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            stack_info = StackInfo(
                f"http://127.0.0.1:{port}", "", "", "op", "fin", "https://p.example", "key", "", "", "", "", "", "UTC"
            )
            async with Client(stack_info, Measurements(), "seed", retry_timeout_seconds) as client:
                return await call(client), client.measures

    return asyncio.run(both())


def test_call_without_an_answer_is_repeated_with_the_same_key_and_body() -> None:
    server = Server([None, (503, {}), (500, {}), (201, {"id": "cart_1"})])
    reply, measures = call_server(server, lambda client: client.as_buyer("hold", "POST", "/carts", {"a": 1}, "key-1"))
    assert reply == Reply(201, {"id": "cart_1"})
    assert server.keys == ["key-1"] * 4
    assert server.bodies == [{"a": 1}] * 4
    assert measures.counts.total() == 3
    assert (measures.counts["repeated after 503"], measures.counts["repeated after 500"]) == (1, 1)
    assert len(measures.seconds["hold"]) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 413])
def test_final_status_is_not_repeated(status: int) -> None:
    server = Server([(status, {"code": "x"})])
    reply, measures = call_server(server, lambda client: client.as_operator("audit", "GET", "/drops/d/audit"))
    assert reply == Reply(status, {"code": "x"})
    assert not measures.counts


def test_call_to_an_absent_stack_fails_with_its_last_fault() -> None:
    server = Server([(503, {"code": "unavailable"})] * 5)
    with pytest.raises(StepFailed) as stuck:
        call_server(
            server, lambda client: client.as_finance("export", "POST", "/exports", {}, "k"), retry_timeout_seconds=0
        )
    assert str(stuck.value) == 'POST /exports: no answer in 0 s, at last 503 {"code": "unavailable"}'


def test_percentiles_are_nearest_ranks_in_milliseconds() -> None:
    assert percentiles([number / 1000 for number in range(100, 0, -1)]) == {
        "count": 100,
        "p50_ms": 50.0,
        "p95_ms": 95.0,
        "p99_ms": 99.0,
        "max_ms": 100.0,
    }
    assert percentiles([0.0123]) == {"count": 1, "p50_ms": 12.3, "p95_ms": 12.3, "p99_ms": 12.3, "max_ms": 12.3}
    assert percentiles([]) == {"count": 0}
