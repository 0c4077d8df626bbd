"""The template's resources in moto, and a record of each function's AWS calls and of the settings that it reads."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from chalicelib import aws
from chalicelib.settings import Settings
from infra.aws.deploy import generate_missing_keys
from tests.conftest import Tables
from tests.infra.packaged_template import packaged_template

PREFIX = "LIVEDROP_"
TRANSACTION_ACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
LAMBDA_RUNTIME_ACTIONS = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
    "kinesis:",
    "logs:",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
)
"""Actions that Lambda itself performs with a function's role."""


class _RecordedSettings:
    """The settings of a function. Records the names that its code reads."""

    def __init__(self, settings: Settings, names: set[str]) -> None:
        self._settings, self._names = settings, names

    def __getattr__(self, name: str) -> Any:
        self._names.add(name)
        return getattr(self._settings, name)


@dataclass
class EmulatedDeployment:
    """The template's resources in moto, and the calls and read settings of each function."""

    tables: Tables
    names: dict[str, str] = field(default_factory=dict)
    calls: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    read_settings: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    function: str | None = None

    def create_resources(self) -> None:
        names = {"StockTable": self.tables.stock, "CommerceTable": self.tables.commerce}
        self.names = names | {"SandboxTable": self.tables.sandbox, "FinanceBucket": "finance", "TimeZone": "UTC"}
        where: Any = {"LocationConstraint": "eu-west-1"}
        boto3.client("s3").create_bucket(Bucket="finance", CreateBucketConfiguration=where)
        for name in of_type("AWS::SQS::Queue"):
            self.names[name] = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
        for name in of_type("AWS::Events::EventBus"):
            boto3.client("events").create_event_bus(Name=name)
            self.names[name] = name
        secrets = boto3.client("secretsmanager")
        secret = secrets.create_secret(Name="Secret", SecretString=json.dumps({"jwt_secret": 64 * "s"}))
        self.names["Secret"] = secret["ARN"]
        self.secret = generate_missing_keys(secrets, secret["ARN"])

    def record_call(self, service: str, operation: str, parameters: dict[str, Any]) -> None:
        if self.function is not None:
            self.calls[self.function] |= set(self._actions(service, operation, parameters))

    def _actions(self, service: str, operation: str, call: dict[str, Any]) -> Iterator[tuple[str, str]]:
        match operation:
            case "TransactWriteItems":
                writes = [
                    (TRANSACTION_ACTIONS[kind], one) for write in call["TransactItems"] for kind, one in write.items()
                ]
                yield from ((f"dynamodb:{action}", self.logical_id(one["TableName"])) for action, one in writes)
            case "BatchGetItem":
                yield from (("dynamodb:BatchGetItem", self.logical_id(table)) for table in call["RequestItems"])
            case "ListObjectsV2":
                yield "s3:ListBucket", "FinanceBucket"
            case "GetObject" | "HeadObject":
                yield "s3:GetObject", f"FinanceBucket/{call['Key']}"
            case "PutObject":
                yield "s3:PutObject", f"FinanceBucket/{call['Key']}"
            case "SendMessage" | "SendMessageBatch":
                yield "sqs:SendMessage", self.logical_id(call["QueueUrl"])
            case _:
                name = call.get("TableName") or call.get("SecretId") or call["Entries"][0]["EventBusName"]
                yield f"{service}:{operation}", self.logical_id(name)

    def logical_id(self, name: str) -> str:
        (logical,) = [logical for logical, physical in self.names.items() if physical == name]
        return logical

    @contextmanager
    def running(self, function: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """Import the application as a new process of this function."""
        with monkeypatch.context() as patched:
            for name, value in variables(function).items():
                given = self.names.get(value["Ref"]) if isinstance(value, dict) else value
                default = packaged_template()["Parameters"].get(value["Ref"], {}) if isinstance(value, dict) else {}
                patched.setenv(name, str(default.get("Default", "") if given is None else given))
            patched.delitem(sys.modules, "app", raising=False)
            patched.setattr(aws, "client", boto3.client)
            import app

            settings = _RecordedSettings(app.settings(), self.read_settings[function])
            patched.setattr(app, "settings", lambda: settings)
            self.function = function
            yield app
            self.function = None


def of_type(kind: str) -> dict[str, Any]:
    return {
        name: found["Properties"] for name, found in packaged_template()["Resources"].items() if found["Type"] == kind
    }


def variables(function: str) -> dict[str, Any]:
    """Return the ``LIVEDROP_`` variables of a function as the template gives them."""
    shared = packaged_template()["Globals"]["Function"].get("Environment", {}).get("Variables", {})
    own = of_type("AWS::Serverless::Function")[function].get("Environment", {}).get("Variables", {})
    return {name: value for name, value in (shared | own).items() if name.startswith(PREFIX)}


def granted(function: str) -> set[tuple[str, str]]:
    """Return each action and resource that a function's role allows its code, without those for Lambda itself."""
    role = of_type("AWS::Serverless::Function")[function]["Role"]["Fn::GetAtt"][0]
    (policy,) = of_type("AWS::IAM::Role")[role]["Policies"]
    return {
        (action, _resource(resource))
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if not action.startswith(LAMBDA_RUNTIME_ACTIONS)
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resource(resource: dict[str, Any]) -> str:
    if "Fn::Sub" in resource:
        return str(resource["Fn::Sub"]).replace("${", "").replace(".Arn}", "")
    return str(resource["Fn::GetAtt"][0] if "Fn::GetAtt" in resource else resource["Ref"])
