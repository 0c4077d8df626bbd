"""Operators' commands on a deployed stack: by its name through CloudFormation, and on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from standardwebhooks import Webhook

from infra.cli.keys import restart_function
from infra.local import emulator as aws_emulator
from infra.local.local_state import aws_client
from infra.local.stack import STACK_NAME
from infra.paths import ROOT
from tests.e2e.buyer import completed_within, place_order

pytestmark = pytest.mark.e2e

Livedrop = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["by its name", "by its variable", "on this machine"])
def livedrop(request: pytest.FixtureRequest, stack: dict[str, Any], tmp_path: Path) -> Livedrop:
    """The command line, once for each way to choose the stack. Only the last reads ``local.json``."""
    by_name = ["--stack", STACK_NAME] if request.param == "by its name" else []
    variables = without_stack_variables()
    if request.param == "on this machine":
        variables |= {"LIVEDROP_HOME": stack["home"]}
    else:
        variables |= {"LIVEDROP_HOME": str(tmp_path)} | aws_emulator.environment(stack["aws_endpoint"])
    if request.param == "by its variable":
        variables |= {"LIVEDROP_STACK": STACK_NAME}
    return lambda *words: run(variables, *words, *by_name)


def without_stack_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"LIVEDROP_STACK", "LIVEDROP_HOME"}}


def run(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.cli.main", *words]
    return subprocess.run(command, env=variables, check=False, capture_output=True, text=True, cwd=ROOT)


def output(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_token_allows_only_its_scope_and_names_its_holder(stack: dict[str, Any], livedrop: Livedrop) -> None:
    def status(bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}"}
        return httpx.get(f"{stack['http']}/drops/scissor/audit", headers=headers, timeout=30).status_code

    operator = output(livedrop("token", "operator", "--subject", "anna", "--hours", "2")).strip()
    claims = jwt.decode(operator, options={"verify_signature": False})
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("anna", 7200)
    assert (status(operator), status(output(livedrop("token", "finance")).strip())) == (200, 403)


def test_token_without_subject_names_the_caller(livedrop: Livedrop) -> None:
    claims = jwt.decode(output(livedrop("token", "operator")).strip(), options={"verify_signature": False})
    assert claims["sub"] == "root"


def test_audit_counts_the_units_of_a_drop(livedrop: Livedrop) -> None:
    found = json.loads(output(livedrop("audit", "scissor")))
    assert (found["drop_id"], found["mismatches"]) == ("scissor", [])
    refused = livedrop("audit", "nothing-of-that-name")
    assert (refused.returncode, refused.stdout, refused.stderr[:10]) == (1, "", "livedrop: ")


def test_redrive_returns_a_dead_letter_to_its_queue(stack: dict[str, Any], livedrop: Livedrop) -> None:
    order = place_order(stack, "scissor")
    assert completed_within(stack, [order], seconds=60)
    sqs, dead = aws_client(stack, "sqs"), stack["queues"]["CaptureDLQUrl"]
    message = json.dumps({"purchase_id": order.removeprefix("chk_"), "attempt": 1})
    sqs.send_message(QueueUrl=dead, MessageBody=message)
    assert output(livedrop("redrive", "capture")) == "1 messages redriven\n"
    assert "Messages" not in sqs.receive_message(QueueUrl=dead)
    assert output(livedrop("redrive", "capture")) == "0 messages redriven\n"


def test_recover_prints_its_report(livedrop: Livedrop) -> None:
    assert "'failed': 0" in output(livedrop("recover"))


def test_export_requests_an_interim_export(livedrop: Livedrop) -> None:
    asked = json.loads(output(livedrop("export", "2026-11-20", "--show", "tonight")))
    assert (asked["date"], asked["show_id"]) == ("2026-11-20", "tonight")


def test_refused_cue_is_listed_with_its_reason(stack: dict[str, Any], livedrop: Livedrop) -> None:
    subject = f"unknown-{uuid.uuid4().hex[:8]}"
    nothing = livedrop("refused-cues", "--subject", subject)
    assert output(nothing) == f"No cue of {subject} was refused in the last thirty days.\n"
    moment = datetime.now(UTC)
    cue = {"specversion": "1.0", "id": "cue-1", "source": "/studio", "type": "dev.livedrop.drop.open", "data": {}}
    cue |= {"subject": subject, "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    body = json.dumps(cue)
    headers = {
        "webhook-id": "cue-1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(stack["cue_secret"]).sign("cue-1", moment, body),
    }
    assert httpx.post(f"{stack['http']}/cues", content=body, headers=headers, timeout=30).status_code == 409
    table = output(livedrop("refused-cues", "--subject", subject)).splitlines()
    assert table[0].split() == ["time", "type", "subject", "source", "id", "reason"]
    (listed,) = json.loads(output(livedrop("refused-cues", "--json", "--subject", subject)))["cues"]
    assert {name: listed[name] for name in ("source", "id", "type", "subject", "reason")} == {
        "source": "/studio",
        "id": "cue-1",
        "type": "dev.livedrop.drop.open",
        "subject": subject,
        "reason": "unknown_subject",
    }


def test_keys_prints_the_keys_of_platforms_and_show_control_only(stack: dict[str, Any], livedrop: Livedrop) -> None:
    printed = json.loads(output(livedrop("keys")))
    assert set(printed) == {"http", "region", "cue_stream", "cue_secrets", "platforms"}
    assert (printed["http"], printed["cue_stream"], printed["cue_secrets"]) == (
        stack["http"], stack["cue_stream"], [stack["cue_secret"]],
    )  # fmt: skip
    assert [platform["api_key"] for platform in printed["platforms"]] == [stack["platform_key"]]


def test_unknown_stack_is_reported_in_one_line(stack: dict[str, Any], tmp_path: Path) -> None:
    variables = (
        without_stack_variables() | {"LIVEDROP_HOME": str(tmp_path)} | aws_emulator.environment(stack["aws_endpoint"])
    )
    for words in ("token operator", "audit scissor", "redrive ledger", "recover", "export 2026-11-20", "rotate tokens"):
        done = run(variables, *words.split(), "--stack", "nowhere")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "livedrop: There is no livedrop stack 'nowhere' in eu-west-1.\n"


def test_rotated_key_invalidates_tokens_at_once_and_new_platform_is_listed(
    stack: dict[str, Any], tmp_path: Path
) -> None:
    """Call the deployed function: the local HTTP server reads keys only when the stack starts."""
    variables = (
        without_stack_variables() | {"LIVEDROP_STACK": STACK_NAME} | aws_emulator.environment(stack["aws_endpoint"])
    )
    (api,) = aws_client(stack, "apigateway").get_rest_apis()["items"]
    address = f"{stack['aws_endpoint']}/restapis/{api['id']}/live/_user_request_/drops/scissor/audit"

    def status(bearer: str) -> int:
        return httpx.get(address, headers={"Authorization": f"Bearer {bearer}"}, timeout=30).status_code

    secrets = aws_client(stack, "secretsmanager")
    names = [one["Name"] for one in secrets.list_secrets()["SecretList"]]
    (name,) = (name for name in names if "Payment" not in name)
    before = secrets.get_secret_value(SecretId=name)["SecretString"]
    assert status(stack["operator_token"]) == 200
    try:
        output(run(variables, "rotate", "tokens"))
        assert status(stack["operator_token"]) == 401
        assert status(output(run(variables, "token", "operator")).strip()) == 200
        output(run(variables, "rotate", "cues"))
        key = output(run(variables, "platform", "feed", "https://feed.example/ucp")).strip()
        printed = json.loads(output(run(variables, "keys")))
        assert printed["cue_secrets"][1:] == [stack["cue_secret"]]
        assert printed["platforms"][1:] == [
            {"name": "feed", "profile": "https://feed.example/ucp", "channel": "feed", "api_key": key}
        ]
    finally:
        secrets.put_secret_value(SecretId=name, SecretString=before)
        _restart_api_function(stack)
    assert status(stack["operator_token"]) == 200


def _restart_api_function(stack: dict[str, Any]) -> None:
    functions = aws_client(stack, "lambda")
    names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
    restart_function(functions, next(name for name in names if "APIHandler" in name), "as before")
