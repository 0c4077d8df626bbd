"""Lint the deployed template as packaged, with its alarms: queues, streams, schedules, roles, parameters, logs."""

from __future__ import annotations

import json
import re
from typing import Any

from app import CAPTURE_BATCH, LAST_CALL_AFTER
from chalicelib import aws
from chalicelib.instants import HOUR, MINUTE, SECOND
from chalicelib.payments.pacing import HORIZON
from chalicelib.payments.stripe.calls import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from chalicelib.purchase import SETTLE_PERIOD
from chalicelib.recovery.audit_store import AUDITED_ATTRIBUTES
from chalicelib.risk import DeclineLimits, FraudRules, StepUpRule
from infra.paths import ROOT
from tests.infra.packaged_template import packaged_template

TERMINAL = "DLQ"
STREAMS = {"Kinesis", "DynamoDB"}


def _of(kind: str) -> dict[str, Any]:
    return {
        name: found["Properties"] for name, found in packaged_template()["Resources"].items() if found["Type"] == kind
    }


def _functions() -> dict[str, Any]:
    return _of("AWS::Serverless::Function")


def _events() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (name, event["Type"], event["Properties"])
        for name, function in _functions().items()
        for event in function.get("Events", {}).values()
    ]


def test_work_queue_has_a_dead_letter_queue_and_bounded_retries() -> None:
    work_queues = {name: queue for name, queue in _of("AWS::SQS::Queue").items() if not name.endswith(TERMINAL)}
    assert set(work_queues) == {"CaptureQueue", "LedgerQueue", "ExportsQueue"}
    for name, queue in work_queues.items():
        target = queue["RedrivePolicy"]["deadLetterTargetArn"]
        assert target == {"Fn::GetAtt": [name.replace("Queue", TERMINAL), "Arn"]}
        assert 1 < queue["RedrivePolicy"]["maxReceiveCount"] <= 10


def test_dead_letter_queue_retains_fourteen_days_and_has_an_alarm() -> None:
    alarmed = {
        alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0]
        for alarm in _of("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible" and alarm["Threshold"] == 0
    }
    dead = {name: queue for name, queue in _of("AWS::SQS::Queue").items() if name.endswith(TERMINAL)}
    assert set(dead) == alarmed
    assert {queue["MessageRetentionPeriod"] for queue in dead.values()} == {1_209_600}


def test_stream_moves_a_failing_batch_to_a_dead_letter_queue_after_bounded_retries() -> None:
    streams = [event for _, kind, event in _events() if kind in STREAMS]
    assert len(streams) == 3
    for event in streams:
        assert event["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0].endswith(TERMINAL)
        assert 0 < event["MaximumRetryAttempts"] <= 100
        assert 0 < event["MaximumRecordAgeInSeconds"] <= 3600
        assert event["StartingPosition"] == "TRIM_HORIZON"


def test_failed_message_does_not_repeat_the_rest_of_its_batch() -> None:
    queued = [event for _, kind, event in _events() if kind == "SQS"]
    assert len(queued) == 3
    assert all(event["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for event in queued)


def test_failed_schedule_goes_to_a_dead_letter_queue() -> None:
    scheduled = [(name, event) for name, kind, event in _events() if kind == "ScheduleV2"]
    assert [name for name, _ in scheduled] == ["CloseDay", "Maintenance", "Maintenance", "Maintenance"]
    for name, event in scheduled:
        assert event["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0].endswith(TERMINAL)
        assert event["ScheduleExpressionTimezone"] == {"Ref": "TimeZone"}
        on_failure = _functions()[name]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
        assert on_failure["Destination"]["Fn::GetAtt"][0].endswith(TERMINAL)


def test_visibility_timeout_is_at_least_the_timeout_of_the_function() -> None:
    queues = _of("AWS::SQS::Queue")
    for name, kind, event in _events():
        if kind == "SQS":
            seconds = queues[event["Queue"]["Fn::GetAtt"][0]]["VisibilityTimeout"]
            if isinstance(seconds, dict):
                seconds = packaged_template()["Parameters"][seconds["Ref"]]["MinValue"]
            assert seconds >= _functions()[name]["Timeout"]


def test_capture_worker_has_time_for_its_worst_message_and_ends_before_its_writes_are_certain() -> None:
    capture, parameters = _functions()["Capture"], packaged_template()["Parameters"]
    call = (CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS) * SECOND
    writes = 10 * SECOND
    assert HORIZON + call + HORIZON <= LAST_CALL_AFTER, "the worst message has time for both of its calls"
    assert LAST_CALL_AFTER + call + writes <= capture["Timeout"] * SECOND
    assert capture["Timeout"] * SECOND < SETTLE_PERIOD
    assert parameters["CaptureRetrySeconds"]["Default"] >= 6 * capture["Timeout"]
    assert capture["Events"]["Placed"]["Properties"]["BatchSize"] == CAPTURE_BATCH


def test_failing_aws_call_ends_before_its_function_times_out() -> None:
    pauses = sum(2**number for number in range(aws.TRIES - 1))  # botocore's standard mode, throttled: up to 1 s, 2 s
    longest = aws.TRIES * (aws.CONNECT_TIMEOUT_SECONDS + aws.READ_TIMEOUT_SECONDS) + pauses
    default = json.loads((ROOT / ".chalice" / "config.json").read_text())["lambda_timeout"]
    seconds = {name: function.get("Timeout", default) for name, function in _functions().items()}
    assert all(longest + 1 < limit for limit in seconds.values())
    assert seconds["APIHandler"] < 29, "API Gateway ends sooner"


def test_answers_of_api_gateway_have_the_format_of_the_application() -> None:
    answers = packaged_template()["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED"} <= set(answers)
    for kind, answer in answers.items():
        text = answer["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"as it says"')
        body, headers = json.loads(text), answer["ResponseParameters"]["Headers"]
        assert body["type"] == f"urn:livedrop:problem:{body['code']}"
        assert body["detail"] == body["content"]
        assert body.get("status") == answer.get("StatusCode")
        assert headers["Access-Control-Allow-Origin"] == "'*'"
        assert headers["Content-Type"] == "'application/problem+json'"
        assert ("Retry-After" in headers) == (kind in {"THROTTLED", "DEFAULT_5XX"})


def test_every_function_has_its_own_role() -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in _functions().values()]
    assert sorted(roles) == sorted(f"{name.removesuffix('Handler')}Role" for name in _functions())
    assert len(set(roles)) == len(roles)


def test_no_role_allows_every_resource_or_every_action() -> None:
    for role in _of("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions, resources = statement["Action"], statement["Resource"]
                assert all("*" not in action for action in ([actions] if isinstance(actions, str) else actions))
                for resource in resources if isinstance(resources, list) else [resources]:
                    assert isinstance(resource, dict), f"{resource} names no resource of this template"
                    assert not resource.get("Fn::Sub", "").startswith("*")


def test_every_choice_of_a_shop_for_its_api_is_a_parameter() -> None:
    variables = _functions()["APIHandler"]["Environment"]["Variables"]
    choices = {
        "LIVEDROP_TIME_ZONE": "TimeZone",
        "LIVEDROP_PUBLIC_URL": "PublicUrl",
        "LIVEDROP_CORS_ORIGINS": "CorsOrigins",
        "LIVEDROP_TERMS_URL": "TermsUrl",
        "LIVEDROP_PRIVACY_URL": "PrivacyUrl",
        "LIVEDROP_CUE_MAX_AGE_SECONDS": "CueMaxAgeSeconds",
    }
    assert {name: variables[name] for name in choices} == {name: {"Ref": choice} for name, choice in choices.items()}
    assert set(choices.values()) <= set(packaged_template()["Parameters"])


def test_only_functions_that_pay_or_refund_reach_the_provider() -> None:
    assert _roles_with_access("SandboxTable") == {"APIRole", "CaptureRole", "MaintenanceRole"}


def test_http_function_scans_no_personal_data() -> None:
    statements = _of("AWS::IAM::Role")["APIRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    (scan,) = (one for one in statements if "dynamodb:Scan" in one["Action"])
    assert scan["Action"] == "dynamodb:Scan"
    assert scan["Condition"] == {
        "StringEquals": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
        "ForAllValues:StringEquals": {"dynamodb:Attributes": list(AUDITED_ATTRIBUTES)},
    }
    assert not {"buyer", "destination", "keys", "payment", "attribution"} & set(AUDITED_ATTRIBUTES)


def test_only_the_http_function_reads_keys() -> None:
    assert _roles_with_access("Secret") == {"APIRole"}
    readers = {name for name, function in _functions().items() if "LIVEDROP_SECRETS_ID" in str(function["Environment"])}
    assert readers == {"APIHandler"}


def test_http_function_may_count_limits_and_read_a_buyers_other_orders() -> None:
    for action in ("PutItem", "UpdateItem", "BatchGetItem"):
        assert "APIRole" in _roles_with_access("CommerceTable", f"dynamodb:{action}")


def test_capture_worker_may_count_declines_take_turns_and_read_no_limits() -> None:
    statements = _of("AWS::IAM::Role")["CaptureRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    (counts,) = (one for one in statements if "BatchGetItem" in str(one) and _names(one["Resource"], "CommerceTable"))
    assert counts["Action"] == ["dynamodb:BatchGetItem", "dynamodb:UpdateItem"]
    assert counts["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["VELOCITY#*", "DROP#*", "PACE#*"]}
    }


def test_default_risk_rules_are_parsed_and_wrong_ones_are_refused_at_deployment() -> None:
    parameters = packaged_template()["Parameters"]
    texts = [parameters[name]["Default"] for name in ("DeclineLimits", "StepUp")]
    rules = FraudRules.parse(*texts)
    assert (rules.limits, rules.step_up) == (DeclineLimits(3, 5, 10, HOUR), StepUpRule(30, 40, 5 * MINUTE, 30 * MINUTE))
    for name, text in zip(("DeclineLimits", "StepUp"), texts, strict=True):
        pattern = re.compile(parameters[name]["AllowedPattern"])
        assert pattern.search(text)
        assert pattern.search("")
        for wrong in ("5", text + ",more=1", text.replace("minutes=", "hours="), text.replace("=", ":"), " " + text):
            assert not pattern.search(wrong), wrong


def test_only_finance_and_maintenance_write_to_the_finance_bucket() -> None:
    assert _roles_with_access("FinanceBucket", "s3:PutObject") == {
        "PostLedgerRole",
        "ExportRole",
        "CloseDayRole",
        "MaintenanceRole",
    }


def test_no_role_may_delete_stored_data() -> None:
    for table in ("StockTable", "CommerceTable", "SandboxTable"):
        assert _roles_with_access(table, "dynamodb:DeleteItem") == set()
    assert _roles_with_access("FinanceBucket", "s3:DeleteObject") == set()


def test_every_function_has_its_own_log_group_with_a_retention() -> None:
    groups = _of("AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == {"Ref": "LogDays"} for group in groups.values())
    used = [function["LoggingConfig"]["LogGroup"]["Ref"] for function in _functions().values()]
    assert sorted(used) == sorted(groups)


def test_the_finance_bucket_is_private_encrypted_and_versioned() -> None:
    bucket = _of("AWS::S3::Bucket")["FinanceBucket"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in bucket


def test_every_function_and_stream_has_an_alarm_for_throttling_and_lag() -> None:
    alarms = _of("AWS::CloudWatch::Alarm")
    assert {name for name, alarm in alarms.items() if alarm["MetricName"] == "Throttles"} == {
        f"{name}ThrottledAlarm" for name in _functions()
    }
    behind = {name for name, alarm in alarms.items() if alarm["MetricName"] == "IteratorAge"}
    assert behind == {"OnCueBehindAlarm", "OnStockBehindAlarm", "OnPurchaseBehindAlarm"}


def _roles_with_access(target: str, action: str | None = None) -> set[str]:
    allowed = set()
    for name, role in _of("AWS::IAM::Role").items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                if _names(statement["Resource"], target) and (action is None or action in actions):
                    allowed.add(name)
    return allowed


def _names(resource: Any, target: str) -> bool:
    if isinstance(resource, list):
        return any(_names(part, target) for part in resource)
    if resource in ({"Ref": target}, {"Fn::GetAtt": [target, "Arn"]}):
        return True
    return f"${{{target}." in resource.get("Fn::Sub", "")
