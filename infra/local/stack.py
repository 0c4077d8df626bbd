"""The local stack as one thing that starts, is watched, restarts its engine in order, and ends without a trace."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx

from infra import deploy
from infra.local import engine as embedded
from infra.local.home import Home
from infra.local.mappings import remake_stream_mappings
from infra.local.processes import LOOPBACK, end, launch, taken
from infra.local.seed import seed
from infra.package import Package, local_target, package
from infra.tokens import token

NAME = "livedrop"
CODE_BUCKET = "livedrop-local-code"
PARAMETERS = {
    "CaptureRetrySeconds": "20",
    "CaptureConcurrency": "0",
    "StockBatch": "20",
    "PurchaseBatch": "1000",
}
"""Where the local stack differs: a killed worker's message comes again soon, and the engine limits itself. One poller
thread serves cues and both tables' streams by turns, so summing up drops takes short turns and the relay keeps up."""
_PAGES = {
    "CorsOrigins": ("LIVEDROP_CORS_ORIGINS", "http://localhost:3000"),
    "TermsUrl": ("LIVEDROP_TERMS_URL", ""),
    "PrivacyUrl": ("LIVEDROP_PRIVACY_URL", ""),
    "Payments": ("LIVEDROP_PAYMENTS", "sandbox"),
    "StripeUrl": ("LIVEDROP_STRIPE_URL", ""),
    "ReturnUrl": ("LIVEDROP_RETURN_URL", ""),
    "OrderHoldChannels": ("LIVEDROP_ORDER_HOLD_CHANNELS", ""),
}
"""Parameters that the shell may set: the variable, and what holds without it."""
_FRONT_SECONDS = 60
_SETTLE_SECONDS = 65
"""After so long ``repair`` sees as overdue whatever was placed just before the engine stopped."""


class CannotStart(RuntimeError):
    """The stack cannot start; the message says what to do."""


class MaintenanceFailed(RuntimeError):
    """The repair function ended with an error, which the message tells."""


@dataclass(slots=True)
class Stack:
    """A running local stack."""

    home: Home
    http_port: int
    aws_port: int
    say: Callable[[str], None] = print
    engine: embedded.Engine | None = None
    front: subprocess.Popen[bytes] | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    secret: dict[str, Any] = field(default_factory=dict)
    recover_again_at: float = math.inf
    """Monotonic seconds. Stream records that nobody had read are lost with an engine, also the latest purchases'."""

    def start(self, *, reset: bool) -> None:
        """Start everything, seed a show, and describe it in ``local.json``, last. Ends what it began when it fails."""
        self._make_room(reset)
        try:
            built = self._prepare()
            self._start_engine()
            self._deploy(built)
            self.say("seeding the sample show")
            seed(self._deployed_api(), self._token("operator"))
            self.recover()
            self.start_front()
            self.home.write_facts(self._facts())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End front, function workers and engine, in this order; the engine writes down what it keeps."""
        self.home.facts_file.unlink(missing_ok=True)
        if self.front is not None:
            end(self.front.pid)
            self.front.wait()
        if self.engine is not None:
            self.engine.stop()
        self.home.end_parts()

    def start_front(self) -> None:
        """Start the HTTP front with the environment of the deployed HTTP function, and wait until it is healthy."""
        server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", LOOPBACK, "--port", self.http_port]
        shape = ["--workers", 2, "--blocking-threads", 16, "--backlog", 2048, "--no-ws", "--respawn-failed-workers"]
        command = [str(part) for part in [*server, *shape, "infra.local.front:application"]]
        log = self.home.folder / "front.log"
        self.front = launch(command, environment=self._front_environment(), log=log, folder=embedded.ROOT)
        self.home.note_part("front", self.front.pid)
        deadline = time.monotonic() + _FRONT_SECONDS
        while time.monotonic() < deadline and self.front.poll() is None:
            try:
                if httpx.get(f"{self.http}/health", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise CannotStart(f"the HTTP front did not come up:\n{log.read_text(errors='replace')[-2000:]}")

    def restart_engine(self) -> None:
        """Stop and start the engine in order while the front stays: stream mappings remade, then ``repair``.

        ``watch`` repairs once more when what was placed just before has become overdue.
        """
        assert self.engine is not None
        self.engine.stop()
        self._start_engine()
        self.recover()
        self.home.write_facts(self._facts())

    def recover(self) -> Any:
        """Run the repair function once and return its answer."""
        return invoke_maintenance(boto3.client("lambda"), self.outputs["MaintenanceFunction"])

    def watch(self) -> None:
        """Start again what died by itself. Called every now and then by whoever waits for the stack's end."""
        if self.engine is not None and self.engine.process.poll() is not None:
            self.say("the AWS engine ended by itself; starting it again")
            self._start_engine()
            self.recover()
        if self.front is not None and self.front.poll() is not None:
            self.say("the HTTP front ended by itself; starting it again")
            end(self.front.pid)
            self.start_front()
        if time.monotonic() >= self.recover_again_at:
            self.recover_again_at = math.inf
            self.recover()
        if self.home.facts().get("pid") != self._pids():
            self.home.write_facts(self._facts())

    @property
    def http(self) -> str:
        """The base address of the buyer API."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def _make_room(self, reset: bool) -> None:
        self.home.folder.mkdir(parents=True, exist_ok=True)
        for name in self.home.end_parts():
            self.say(f"ended the {name} of a run that was killed")
        if reset:
            shutil.rmtree(self.home.engine_folder, ignore_errors=True)
        for port, variable in ((self.http_port, "LIVEDROP_HTTP_PORT"), (self.aws_port, "LIVEDROP_AWS_PORT")):
            if taken(port):
                raise CannotStart(f"port {port} is taken; free it, or choose another with {variable}=…")

    def _prepare(self) -> Package:
        self.say("preparing the engine and packaging the application (the first time takes a minute)")
        with ThreadPoolExecutor(1) as pool:
            ready = pool.submit(embedded.prepare)
            built, _ = package(local_target())
            ready.result()
        return built

    def _start_engine(self) -> None:
        self.engine = embedded.start(self.home.engine_folder, port=self.aws_port, keep=True)
        self.home.note_part("engine", self.engine.pid)
        os.environ.update(embedded.environment(self.engine.endpoint))
        boto3.setup_default_session()
        self.recover_again_at = time.monotonic() + _SETTLE_SECONDS
        remake_stream_mappings(boto3.client("lambda"))

    def _deploy(self, built: Package) -> None:
        self.say("deploying the template")
        pages = {name: os.environ.get(variable, default) for name, (variable, default) in _PAGES.items()}
        given = PARAMETERS | pages | {"PublicUrl": self.http}
        self.outputs = deploy.deploy(built, NAME, CODE_BUCKET, given, poll_seconds=0.2)
        self.secret = deploy.generate_missing_keys(boto3.client("secretsmanager"), self.outputs["SecretsId"])

    def _deployed_api(self) -> str:
        assert self.engine is not None
        return f"{self.engine.endpoint}/restapis/{self.outputs['RestAPIId']}/live/_user_request_/"

    def _front_environment(self) -> dict[str, str]:
        assert self.engine is not None
        function = boto3.client("lambda").get_function_configuration(FunctionName=self.outputs["APIHandlerName"])
        deployed = function["Environment"]["Variables"]
        return embedded.without_aws(dict(os.environ)) | embedded.environment(self.engine.endpoint) | deployed

    def _token(self, scope: Any) -> str:
        return token(self.secret["jwt_secret"], scope, f"local-{scope}", now_seconds=int(time.time()))

    def _pids(self) -> dict[str, int]:
        assert self.engine is not None
        assert self.front is not None
        return {"run": os.getpid(), "engine": self.engine.pid, "front": self.front.pid}

    def _facts(self) -> dict[str, Any]:
        assert self.engine is not None
        return {
            "http": self.http,
            "aws_endpoint": self.engine.endpoint,
            "region": embedded.REGION,
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
            "aws_access_key_id": embedded.ACCOUNT,
            "aws_secret_access_key": "local",
            "pid": self._pids(),
        }


def invoke_maintenance(functions: Any, name: str, request: Mapping[str, Any] | None = None) -> Any:
    """Run the repair function (``functions``: a Lambda client). :class:`RepairFailed` when it fails."""
    response = functions.invoke(FunctionName=name, Payload=json.dumps(request or {}).encode())
    result = json.loads(response["Payload"].read() or b"null")
    if "FunctionError" in response:
        raise MaintenanceFailed(f"maintenance failed: {result}")
    return result
