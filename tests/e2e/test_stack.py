"""The deployed local stack, from outside."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.local_state import aws_client
from infra.local.seed import SHOW
from tests.infra.packaged_template import packaged_template

pytestmark = pytest.mark.e2e


def test_started_stack_is_healthy_and_its_show_is_live(stack: dict[str, Any]) -> None:
    assert httpx.get(f"{stack['http']}/health", timeout=10).json() == {"status": "ok"}
    live = httpx.get(f"{stack['http']}/shows/tonight/live", timeout=10).json()
    seeded = {drop["drop_id"]: drop["stock"] for drop in json.loads(SHOW.read_text())["drops"]}
    assert {drop["drop_id"]: drop["size"] for drop in live["drops"]} == seeded
    assert {drop["state"] for drop in live["drops"]} == {"open"}


def test_stack_info_file_is_readable_by_its_owner_only(stack: dict[str, Any]) -> None:
    assert stat.S_IMODE(Path(stack["home"], "local.json").stat().st_mode) == 0o600


def test_api_gateway_of_the_emulator_serves_the_same_application(stack: dict[str, Any]) -> None:
    (api,) = aws_client(stack, "apigateway").get_rest_apis()["items"]
    deployed = f"{stack['aws_endpoint']}/restapis/{api['id']}/live/_user_request_"
    by_gateway = httpx.get(f"{deployed}/shows/tonight", timeout=30).json()
    by_front = httpx.get(f"{stack['http']}/shows/tonight", timeout=10).json()
    assert _without_time(by_gateway) == _without_time(by_front)
    for base in (deployed, stack["http"]):
        head = httpx.head(f"{base}/shows/tonight", timeout=30)
        assert (head.status_code, head.content, head.headers["Cache-Control"]) == (200, b"", "public, max-age=1")
        asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
        preflight = httpx.options(f"{base}/exports", headers=asked, timeout=30)
        assert preflight.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def test_api_gateway_and_http_server_give_the_same_answer_for_an_unknown_path(stack: dict[str, Any]) -> None:
    gateway = aws_client(stack, "apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    for kind, answer in packaged_template()["Resources"]["RestAPI"]["Properties"]["GatewayResponses"].items():
        headers = answer["ResponseParameters"]["Headers"]
        gateway.put_gateway_response(  # AWS imports them with the API's definition; the emulator does not
            restApiId=api["id"],
            responseType=kind,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            responseTemplates=answer["ResponseTemplates"],
            **({"statusCode": str(answer["StatusCode"])} if "StatusCode" in answer else {}),
        )
    gateway.create_deployment(restApiId=api["id"], stageName="live")
    deployed = f"{stack['aws_endpoint']}/restapis/{api['id']}/live/_user_request_"
    nowhere = [httpx.get(f"{base}/nowhere", timeout=30) for base in (deployed, stack["http"])]
    assert [answer.status_code for answer in nowhere] == [404, 404]
    assert nowhere[0].json() == nowhere[1].json()
    assert {answer.headers["Content-Type"] for answer in nowhere} == {"application/problem+json"}


def test_body_over_the_limit_is_refused_and_head_has_no_body(stack: dict[str, Any]) -> None:
    headers = {"UCP-Agent": 'profile="https://a.example/p"', "Idempotency-Key": "large"}
    refused = httpx.post(f"{stack['http']}/carts", content=b"0" * 1_000_001, headers=headers, timeout=10)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    head = httpx.head(f"{stack['http']}/shows/tonight/live", timeout=10)
    assert (head.status_code, head.content) == (200, b"")


def _without_time(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "server_time"}
