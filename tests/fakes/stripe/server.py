"""Serve the fake of Stripe over HTTP on a free local port, with its faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.stripe.fake_stripe import FakeStripe


def _decode_form(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Decode Stripe's form encoding: ``metadata[show]=x`` is a member of a map, ``expand[0]`` is left out."""
    sent: dict[str, Any] = {}
    for name, value in pairs:
        outer, _, inner = name.partition("[")
        if not inner:
            sent[outer] = value
        elif not inner.startswith(("]", "0", "1")):
            sent.setdefault(outer, {})[inner.rstrip("]")] = value
    return sent


@contextmanager
def serve(stripe: FakeStripe) -> Iterator[str]:
    """Serve a fake, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Write no log."""

        def do_GET(self) -> None:
            self._serve(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def _serve(self, form: str) -> None:
            path = urlsplit(self.path).path
            stripe.requests.append(f"{self.command} {path}")
            fault = stripe.faults.popleft() if stripe.faults else None
            if fault == "before":
                self.close_connection = True
                return
            if isinstance(fault, int):
                self._send(fault, json.dumps({"error": {"type": "api_error", "message": "no"}}), repeated=False)
                return
            key = self.headers.get("Idempotency-Key") if self.command == "POST" else None
            status, body, repeated = stripe.respond(self.command, path, _decode_form(parse_qsl(form)), key)
            if fault == "after":
                self.close_connection = True
                return
            self._send(status, "<html>" if fault == "garbage" else json.dumps(body), repeated=repeated)

        def _send(self, status: int, text: str, *, repeated: bool) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if repeated:
                self.send_header("Idempotent-Replayed", "true")
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
