"""Where a command works: the stack of this machine, or one deployed on AWS. Both are known by their outputs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config

from infra.aws.deploy import Outputs, outputs_of
from infra.aws.tokens import WEEK_SECONDS, Scope, token
from infra.local import stack as local_stack
from infra.local.local_state import LocalState

StackOption = Annotated[
    str | None,
    typer.Option("--stack", envvar="LIVEDROP_STACK", help="A stack deployed on AWS; without, the one on this machine."),
]
"""A command's option that says where it works."""
_SINGLE_ATTEMPT = Config(read_timeout=620, tcp_keepalive=True, retries={"mode": "standard", "total_max_attempts": 1})
"""``repair`` may take ten minutes, and must not be started again meanwhile."""


class NoSuchStack(Exception):
    """There is no livedrop stack of that name where the credentials lead."""


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """A deployed stack, and the credentials that reach it."""

    session: boto3.Session
    endpoint: str | None
    outputs: Outputs

    @classmethod
    def of(cls, stack: str | None) -> DeployedStack:
        """The named stack, with the caller's AWS credentials and region; without a name the one on this machine.

        One call. :class:`NoSuchStack` or ``NotRunning`` when it is not there.
        """
        if stack is not None:
            return cls._describe(boto3.Session(), None, stack)
        stack_info = LocalState.from_environment().running_stack_info()
        keys = {name: stack_info[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
        return cls._describe(
            boto3.Session(region_name=stack_info["region"], **keys), stack_info["aws_endpoint"], local_stack.STACK_NAME
        )

    @classmethod
    def _describe(cls, session: boto3.Session, endpoint: str | None, stack: str) -> DeployedStack:
        outputs = outputs_of(session.client("cloudformation", endpoint_url=endpoint), stack)
        if "HttpAddress" not in outputs:
            raise NoSuchStack(f"there is no livedrop stack {stack!r} in {session.region_name}")
        return cls(session, endpoint, outputs)

    @property
    def http(self) -> str:
        """The base address of the API."""
        return self.outputs["HttpAddress"].rstrip("/")

    def client(self, service: Any) -> Any:
        """A client of an AWS service in the stack's account; it asks once and waits for the answer."""
        return self.session.client(service, endpoint_url=self.endpoint, config=_SINGLE_ATTEMPT)

    def secret(self) -> dict[str, Any]:
        """The deployment's keys, as far as the caller may read them. One call."""
        response = self.client("secretsmanager").get_secret_value(SecretId=self.outputs["SecretsId"])
        secret: dict[str, Any] = json.loads(response["SecretString"])
        return secret

    def caller(self) -> str:
        """Who AWS says the caller is: ``user/anna``, ``assumed-role/Operators/anna``. One call."""
        arn: str = self.client("sts").get_caller_identity()["Arn"]
        return arn.rpartition(":")[2]

    def token(self, scope: Scope, subject: str | None = None, lifetime_seconds: int = WEEK_SECONDS) -> str:
        """A bearer token of this deployment, for its caller when no other subject is given."""
        key, holder, now = self.secret()["jwt_secret"], subject or self.caller(), int(time.time())
        return token(key, scope, holder, now_seconds=now, lifetime_seconds=lifetime_seconds)
