"""Deploy a package by CloudFormation, in the same way on AWS and into the local emulator."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError, WaiterError

from infra.aws.package import Package

Outputs = dict[str, str]
_CAPABILITIES: Any = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
_NOTHING_TO_DO = ("No updates are to be performed", "didn't contain changes")


class DeploymentFailed(RuntimeError):
    """CloudFormation refused the stack or rolled it back. The message has its reasons."""


def upload(s3: Any, bucket: str, package: Package, region: str) -> None:
    """Put the code into its bucket under a key made from its content. Creates a missing bucket."""
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **location)
        blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(blocked, True))
    try:
        s3.head_object(Bucket=bucket, Key=package.key)
    except ClientError:
        s3.put_object(Bucket=bucket, Key=package.key, Body=package.code.read_bytes())


def deploy(
    package: Package, stack: str, code_bucket: str, parameters: Mapping[str, str], *, poll_seconds: float = 5
) -> Outputs:
    """Upload the code, create or update the stack, wait, and generate missing keys. Returns the stack's outputs.

    Clients find endpoint, region and credentials in the environment. A parameter that is not given keeps the stack's
    value, or has its default in a new stack.

    Raises: DeploymentFailed.
    """
    session = boto3.Session()
    region = session.region_name or "eu-west-1"
    upload(session.client("s3"), code_bucket, package, region)
    given = {
        "CodeBucket": code_bucket,
        "CodeKey": package.key,
        "Architecture": package.target.architecture,
        **parameters,
    }
    template = package.template.read_text()
    cloudformation = session.client("cloudformation")
    _create_or_update_stack(
        cloudformation,
        stack,
        json.loads(template),
        _upload_template(session, code_bucket, package, template),
        given,
        poll_seconds,
    )
    outputs = outputs_of(cloudformation, stack)
    generate_missing_keys(session.client("secretsmanager"), outputs["SecretsId"])
    return outputs


def outputs_of(cloudformation: Any, stack: str) -> Outputs:
    """Return a stack's outputs by name. Empty when the stack does not exist."""
    found = _describe_stack(cloudformation, stack) or {}
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def generate_missing_keys(secretsmanager: Any, secret_id: str) -> dict[str, Any]:
    """Generate the keys that the deployment's secret lacks; existing ones stay. Returns the whole secret."""
    stored: dict[str, Any] = json.loads(secretsmanager.get_secret_value(SecretId=secret_id)["SecretString"])
    generated = {
        "id_key": secrets.token_hex(32),
        "cue_secrets": [new_cue_secret()],
        "platforms": [first_platform()],
    }
    complete = generated | stored
    if complete != stored:
        secretsmanager.put_secret_value(SecretId=secret_id, SecretString=json.dumps(complete))
    return complete


def new_cue_secret() -> str:
    """Make a signing key in the format of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def first_platform() -> dict[str, str]:
    """Make the platform that every deployment starts with: the shop's own pages, with a new key."""
    profile = "https://shop.example/.well-known/ucp"
    return {"name": "own-site", "profile": profile, "channel": "own-site", "api_key": secrets.token_urlsafe(32)}


def _upload_template(session: boto3.Session, bucket: str, package: Package, template: str) -> str:
    """Put the template beside the code, because it is too long for the request. Returns its URL."""
    key = package.key.replace(".zip", ".template.json")
    s3 = session.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=template.encode())
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def _create_or_update_stack(
    cloudformation: Any, stack: str, template: dict[str, Any], url: str, given: Mapping[str, str], poll_seconds: float
) -> None:
    exists = _describe_stack(cloudformation, stack)
    declared = template["Parameters"]
    values: list[dict[str, Any]] = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    if exists:
        existing_parameters = {parameter["ParameterKey"] for parameter in exists.get("Parameters", [])}
        unchanged = [name for name in declared if name not in given and name in existing_parameters]
        values += [{"ParameterKey": name, "UsePreviousValue": True} for name in unchanged]
    request: dict[str, Any] = {
        "StackName": stack,
        "TemplateURL": url,
        "Parameters": values,
        "Capabilities": _CAPABILITIES,
    }
    if exists:
        try:
            cloudformation.update_stack(**request)
        except ClientError as refusal:
            if any(words in str(refusal) for words in _NOTHING_TO_DO):
                return
            raise DeploymentFailed(str(refusal)) from refusal
    else:
        cloudformation.create_stack(**request)
    done = cloudformation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
    try:
        done.wait(StackName=stack, WaiterConfig={"Delay": poll_seconds, "MaxAttempts": int(1800 / poll_seconds)})
    except WaiterError as failure:
        raise DeploymentFailed(_failure_reasons(cloudformation, stack)) from failure


def _describe_stack(cloudformation: Any, stack: str) -> dict[str, Any] | None:
    try:
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as refusal:
        if "does not exist" not in str(refusal):
            raise
        return None
    stack_description: dict[str, Any] = found
    return None if stack_description["StackStatus"] == "DELETE_COMPLETE" else stack_description


def _failure_reasons(cloudformation: Any, stack: str) -> str:
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
    lines = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed]
    return f"stack {stack} failed:\n" + "\n".join(reversed(lines))
