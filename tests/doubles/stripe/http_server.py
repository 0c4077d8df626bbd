"""The HTTP face: the same account on a free port of the loopback interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.doubles.stripe.account import Account
from tests.doubles.stripe.api import ConnectionBroken, Response, handle
from tests.doubles.stripe.in_process import to_request, to_text


@contextmanager
def serve(account: Account) -> Iterator[str]:
    """Serve an account, and yield its address. Requests are executed one at a time.

    A timeout keeps the connection open without an answer, until the client or the server ends.
    """
    one_at_a_time, stopped = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            """Write no log."""

        def do_GET(self) -> None:
            self._serve("")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

        def _serve(self, form: str) -> None:
            try:
                with one_at_a_time:
                    response = handle(account.state, to_request(self.command, self.path, dict(self.headers), form))
            except ConnectionBroken as broken:
                self.close_connection = True
                if broken.timed_out:
                    stopped.wait()
                return
            self._send(response)

        def _send(self, response: Response) -> None:
            body = to_text(response).encode()
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
