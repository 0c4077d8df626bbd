"""The stack that a command works on, on this machine or deployed on AWS. Commands find both by the stack's outputs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import boto3
import httpx
import typer
from botocore.config import Config
from rich.console import Console

from infra.aws.deploy import Outputs, outputs_of
from infra.aws.maintenance import invoke_maintenance
from infra.aws.tokens import WEEK_SECONDS, Scope, token
from infra.local.local_state import LocalState
from infra.local.stack import STACK_NAME

StackOption = Annotated[
    str | None,
    typer.Option("--stack", envvar="LIVEDROP_STACK", help="A stack deployed on AWS. Default: the one on this machine."),
]
"""The option by which a command chooses its stack."""
_SINGLE_ATTEMPT = Config(read_timeout=620, tcp_keepalive=True, retries={"mode": "standard", "total_max_attempts": 1})
"""The maintenance function may run for ten minutes, and a retry would start a second run beside the first."""
_API_TOKEN_SECONDS = 300
_UNWRAPPED_COLUMNS = 10_000


class NoSuchStack(Exception):
    """The account and region of the credentials have no livedrop stack of this name."""


def new_console() -> Console:
    """Return a console on stdout. Its lines are wrapped in a terminal, and never in a pipe or file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNWRAPPED_COLUMNS)


def fail(reason: str) -> NoReturn:
    """Print a reason on stderr and end the command with exit code 1."""
    Console(stderr=True, highlight=False).print(f"livedrop: {reason}", style="red", markup=False, soft_wrap=True)
    sys.exit(1)


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """A deployed stack, and the credentials that reach it."""

    session: boto3.Session
    endpoint: str | None
    outputs: Outputs

    @classmethod
    def of(cls, stack: str | None) -> DeployedStack:
        """Find the named stack with the caller's AWS credentials, or without a name the stack on this machine.

        One call. Raises: NoSuchStack, NotRunning.
        """
        if stack is not None:
            return cls._describe(boto3.Session(), None, stack)
        stack_info = LocalState.from_environment().running_stack_info()
        keys = {name: stack_info[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
        session = boto3.Session(region_name=stack_info["region"], **keys)
        return cls._describe(session, stack_info["aws_endpoint"], STACK_NAME)

    @classmethod
    def _describe(cls, session: boto3.Session, endpoint: str | None, stack: str) -> DeployedStack:
        outputs = outputs_of(session.client("cloudformation", endpoint_url=endpoint), stack)
        if "HttpAddress" not in outputs:
            raise NoSuchStack(f"There is no livedrop stack {stack!r} in {session.region_name}.")
        return cls(session, endpoint, outputs)

    @property
    def http(self) -> str:
        """The base URL of the API."""
        return self.outputs["HttpAddress"].rstrip("/")

    def client(self, service: Any) -> Any:
        """Return a client of an AWS service in the stack's account. It sends each request once."""
        return self.session.client(service, endpoint_url=self.endpoint, config=_SINGLE_ATTEMPT)

    def secret(self) -> dict[str, Any]:
        """Read the deployment's keys. One call. Raises: ClientError, when the caller may not read them."""
        response = self.client("secretsmanager").get_secret_value(SecretId=self.outputs["SecretsId"])
        secret: dict[str, Any] = json.loads(response["SecretString"])
        return secret

    def caller(self) -> str:
        """Ask AWS for the caller's name, such as ``user/anna`` or ``assumed-role/Operators/anna``. One call."""
        arn: str = self.client("sts").get_caller_identity()["Arn"]
        return arn.rpartition(":")[2]

    def token(self, scope: Scope, subject: str | None = None, lifetime_seconds: int = WEEK_SECONDS) -> str:
        """Make a bearer token of this deployment. Without a subject it names the caller."""
        key, holder, now = self.secret()["jwt_secret"], subject or self.caller(), int(time.time())
        return token(key, scope, holder, now_seconds=now, lifetime_seconds=lifetime_seconds)

    def invoke_maintenance(self, request: Mapping[str, Any] | None = None) -> Any:
        """Run the maintenance function and return its answer. Raises: MaintenanceFailed."""
        return invoke_maintenance(self.client("lambda"), self.outputs["MaintenanceFunction"], request)

    def call_api(self, scope: Scope, method: str, path: str, **request: Any) -> httpx.Response:
        """Call the HTTP API with a token in the caller's name; end the command when the API does not answer."""
        headers = {
            "Authorization": f"Bearer {self.token(scope, lifetime_seconds=_API_TOKEN_SECONDS)}",
            "Idempotency-Key": f"cli-{time.time_ns()}",
        }
        try:
            return httpx.request(method, f"{self.http}{path}", headers=headers, timeout=60, **request)
        except httpx.HTTPError as failure:
            fail(f"{self.http} did not answer: {failure!r}")
