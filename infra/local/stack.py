"""The local stack: start it, watch it, restart its emulator, stop it without leaving a process."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx

from infra.aws import deploy
from infra.aws.maintenance import invoke_maintenance
from infra.aws.package import Package, local_target, package
from infra.aws.tokens import Scope, token
from infra.local import emulator as aws_emulator
from infra.local.local_state import LocalState
from infra.local.mappings import recreate_stream_mappings
from infra.local.processes import LOOPBACK, end, launch, port_in_use
from infra.local.seed import seed
from infra.paths import ROOT

STACK_NAME = "livedrop"
CODE_BUCKET = "livedrop-local-code"
PARAMETERS = {
    "CaptureRetrySeconds": "50",
    "CaptureConcurrency": "0",
    "StockBatch": "20",
    "PurchaseBatch": "1000",
}
"""Where the local stack differs from AWS.

A killed worker's message is delivered again soon, and the emulator itself limits concurrency. One poller thread of the
emulator serves the cue stream and both tables' streams in turn. Small stock batches keep its turns short, so that the
relay does not fall behind.
"""
_SHELL_PARAMETERS = {
    "CorsOrigins": ("LIVEDROP_CORS_ORIGINS", "http://localhost:3000"),
    "TermsUrl": ("LIVEDROP_TERMS_URL", ""),
    "PrivacyUrl": ("LIVEDROP_PRIVACY_URL", ""),
    "Payments": ("LIVEDROP_PAYMENTS", "sandbox"),
    "StripeUrl": ("LIVEDROP_STRIPE_URL", ""),
    "ReturnUrl": ("LIVEDROP_RETURN_URL", ""),
    "OrderHoldChannels": ("LIVEDROP_ORDER_HOLD_CHANNELS", ""),
}
"""Parameters that the shell may set: the variable, and the default."""
_HTTP_SERVER_READY_SECONDS = 60
_SETTLE_SECONDS = 65
"""Recovery skips orders placed within the last minute. After this time it also enqueues those that were placed just
before the emulator stopped."""


class CannotStart(RuntimeError):
    """The stack cannot start. The message says what to do."""


@dataclass(slots=True)
class Stack:
    """A local stack and its two processes, the emulator and the HTTP server."""

    local_state: LocalState
    http_port: int
    aws_port: int
    report: Callable[[str], None] = print
    emulator: aws_emulator.Emulator | None = None
    http_server: subprocess.Popen[bytes] | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    secret: dict[str, Any] = field(default_factory=dict)
    recover_again_at: float = math.inf
    """Monotonic seconds. Stream records that nobody had read are lost with an emulator, also those of new orders."""

    def start(self, *, reset: bool) -> None:
        """Start everything, seed a show, and at last write ``local.json``. Stops what it started when a step fails.

        Raises: CannotStart.
        """
        self._clear_leftovers(reset)
        try:
            built = self._prepare()
            self._start_emulator()
            self._deploy(built)
            self.report("seeding the sample show")
            seed(self._deployed_api(), self._token("operator"))
            self.recover()
            self.start_http_server()
            self.local_state.write_stack_info(self._stack_info())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the HTTP server, then the emulator, which stops the function workers and writes its state."""
        self.local_state.stack_info_file.unlink(missing_ok=True)
        if self.http_server is not None:
            end(self.http_server.pid)
            self.http_server.wait()
        if self.emulator is not None:
            self.emulator.stop()
        self.local_state.end_processes()

    def start_http_server(self) -> None:
        """Start the HTTP server with the environment of the deployed HTTP function, and wait until it is healthy.

        Raises: CannotStart, with the end of the log.
        """
        server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", LOOPBACK, "--port", self.http_port]
        shape = ["--workers", 2, "--blocking-threads", 16, "--backlog", 2048, "--no-ws", "--respawn-failed-workers"]
        command = [str(part) for part in [*server, *shape, "infra.local.wsgi:application"]]
        log = self.local_state.folder / "http-server.log"
        self.http_server = launch(command, environment=self._http_server_environment(), log=log, folder=ROOT)
        self.local_state.record_process("http_server", self.http_server.pid)
        deadline = time.monotonic() + _HTTP_SERVER_READY_SECONDS
        while time.monotonic() < deadline and self.http_server.poll() is None:
            if self._is_healthy():
                return
            time.sleep(0.1)
        raise CannotStart(f"the HTTP server did not start:\n{log.read_text(errors='replace')[-2000:]}")

    def restart_emulator(self) -> None:
        """Restart the emulator cleanly while the HTTP server keeps running, then recover orders.

        ``watch`` recovers once more, because the first recovery skips orders placed within the last minute.
        """
        assert self.emulator is not None
        self.emulator.stop()
        self._start_emulator()
        self.recover()
        self.local_state.write_stack_info(self._stack_info())

    def recover(self) -> Any:
        """Enqueue every order whose message was lost. Returns the maintenance function's answer."""
        return invoke_maintenance(boto3.client("lambda"), self.outputs["MaintenanceFunction"])

    def watch(self) -> None:
        """Restart processes that ended by themselves, and recover orders when due. ``run`` calls it in its loop."""
        if self.emulator is not None and self.emulator.process.poll() is not None:
            self.report("the AWS emulator ended by itself; restarting it")
            self._start_emulator()
            self.recover()
        if self.http_server is not None and self.http_server.poll() is not None:
            self.report("the HTTP server ended by itself; restarting it")
            end(self.http_server.pid)
            self.start_http_server()
        if time.monotonic() >= self.recover_again_at:
            self.recover_again_at = math.inf
            self.recover()
        if self.local_state.stack_info().get("pid") != self._pids():
            self.local_state.write_stack_info(self._stack_info())

    @property
    def http(self) -> str:
        """The base URL of the API."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.http}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _clear_leftovers(self, reset: bool) -> None:
        """Stop the processes of a killed run, and check that both ports are free."""
        self.local_state.folder.mkdir(parents=True, exist_ok=True)
        for name in self.local_state.end_processes():
            self.report(f"stopped the {name} of a run that was killed")
        if reset:
            shutil.rmtree(self.local_state.emulator_folder, ignore_errors=True)
        for port, variable in ((self.http_port, "LIVEDROP_HTTP_PORT"), (self.aws_port, "LIVEDROP_AWS_PORT")):
            if port_in_use(port):
                raise CannotStart(f"Port {port} is taken. Free it, or choose another with {variable}=….")

    def _prepare(self) -> Package:
        """Package the application while another thread builds the emulator's environment."""
        self.report("preparing the emulator and packaging the application (the first time takes a minute)")
        with ThreadPoolExecutor(1) as executor:
            ready = executor.submit(aws_emulator.prepare)
            built, _ = package(local_target())
            ready.result()
        return built

    def _start_emulator(self) -> None:
        self.emulator = aws_emulator.start(self.local_state.emulator_folder, port=self.aws_port, keep=True)
        self.local_state.record_process("emulator", self.emulator.pid)
        os.environ.update(aws_emulator.environment(self.emulator.endpoint))
        boto3.setup_default_session()
        self.recover_again_at = time.monotonic() + _SETTLE_SECONDS
        recreate_stream_mappings(boto3.client("lambda"))

    def _deploy(self, built: Package) -> None:
        self.report("deploying the template")
        from_shell = {
            name: os.environ.get(variable, default) for name, (variable, default) in _SHELL_PARAMETERS.items()
        }
        given = PARAMETERS | from_shell | {"PublicUrl": self.http}
        self.outputs = deploy.deploy(built, STACK_NAME, CODE_BUCKET, given, poll_seconds=0.2)
        self.secret = deploy.generate_missing_keys(boto3.client("secretsmanager"), self.outputs["SecretsId"])

    def _deployed_api(self) -> str:
        assert self.emulator is not None
        return f"{self.emulator.endpoint}/restapis/{self.outputs['RestAPIId']}/live/_user_request_/"

    def _http_server_environment(self) -> dict[str, str]:
        assert self.emulator is not None
        function = boto3.client("lambda").get_function_configuration(FunctionName=self.outputs["APIHandlerName"])
        deployed = function["Environment"]["Variables"]
        return aws_emulator.without_aws(dict(os.environ)) | aws_emulator.environment(self.emulator.endpoint) | deployed

    def _token(self, scope: Scope) -> str:
        return token(self.secret["jwt_secret"], scope, f"local-{scope}", now_seconds=int(time.time()))

    def _pids(self) -> dict[str, int]:
        assert self.emulator is not None
        assert self.http_server is not None
        return {"run": os.getpid(), "emulator": self.emulator.pid, "http_server": self.http_server.pid}

    def _stack_info(self) -> dict[str, Any]:
        assert self.emulator is not None
        return {
            "http": self.http,
            "aws_endpoint": self.emulator.endpoint,
            "region": aws_emulator.REGION,
            "operator_token": self._token("operator"),
            "finance_token": self._token("finance"),
            "platform_profile": self.secret["platforms"][0]["profile"],
            "platform_key": self.secret["platforms"][0]["api_key"],
            "cue_secret": self.secret["cue_secrets"][0],
            "cue_stream": self.outputs["CueStream"],
            "bucket": self.outputs["FinanceBucket"],
            "stock_table": self.outputs["StockTable"],
            "commerce_table": self.outputs["CommerceTable"],
            "maintenance_function": self.outputs["MaintenanceFunction"],
            "queues": {name: url for name, url in self.outputs.items() if name.endswith("Url")},
            "time_zone": "Europe/London",
            "aws_access_key_id": aws_emulator.ACCOUNT,
            "aws_secret_access_key": "local",
            "pid": self._pids(),
        }
