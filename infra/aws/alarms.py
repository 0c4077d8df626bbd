"""Add the alarms to a packaged template. Each resource that can fail silently gets one, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Resource = dict[str, Any]

NAMESPACE = "livedrop"
SERVICE = "livedrop"
"""Namespace and service dimension of the functions' own metrics (``chalicelib/telemetry.py``)."""

_ALARMED_METRICS = {
    "balance_behind": "Movements of the balance at the provider are not stored up to the present",
    "captured_amount_differs": "Another amount than the order's total was captured",
    "clearing_differences": "The sum of all movements differs from the provider's own balance",
    "captures_without_order": "A payment was captured that no order has",
    "disputes": "A buyer disputes a payment, or a dispute was lost",
    "illegal_transitions": "The code tried a transition that the table of order statuses does not have",
    "invariants_broken": "Stored data contradict a rule that no race can break",
    "orders_overdue": "An order is past its deadline, and the provider does not say whether it is paid",
    "paid_units_missing": "An audit found that units of a paid order are gone",
    "payments_refused": "The provider refuses the request for a payment itself: every order may fail",
    "provider_key_refused": "The provider refuses the API key: no payment is made until it accepts one",
    "surplus_payments": "A second payment of one attempt was found at the provider",
    "payment_differences": "Payments at the provider and orders differ",
    "payment_event_mismatches": "An event of the provider has another amount or currency than its order",
    "unmatched_payment_events": "An event of the provider belongs to no order",
    "step_ups": "Card testing: a drop asks its buyers to authenticate",
    "refunds_failed": "A refund failed at the provider",
    "refunds_refused": "The provider refused a refund: it exceeds the rest of the payment",
    "unmatched_refunds": "A refund or dispute at the provider is of no paid order, or of a payment that did not pay it",
    "cues_refused": "A cue was refused: `livedrop refused-cues` lists it with its reason",
    "export_differences": "An export differs from the orders",
}
"""The application's metrics that stay 0 while everything works."""
_ALARMED_SERIES = {
    "tokens_refused": (20, "Many payment tokens are refused: the storefront makes them otherwise, or cards are tested"),
}
"""Metrics of which a few are ordinary, and how many a minute are not."""
_OLDEST_MESSAGE_SECONDS = 300
_STREAM_BEHIND_MS = 60_000


def add_alarms(template: dict[str, Any]) -> None:
    """Add an alarm for every queue, function and table of a template, and for the application's own metrics.

    A queue whose logical id ends with ``DLQ`` is a dead-letter queue. Alarms notify the topic of the ``AlarmTopic``
    parameter, when it is set.
    """
    resources = template["Resources"]
    for logical_id, resource in list(resources.items()):
        for name, properties in _alarms(logical_id, resource):
            resources[f"{logical_id}{name}Alarm"] = {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
    alarmed = {**{metric: (0, text) for metric, text in _ALARMED_METRICS.items()}, **_ALARMED_SERIES}
    for metric, (threshold, description) in alarmed.items():
        properties = _alarm(NAMESPACE, metric, {"service": SERVICE}, "Sum", threshold, description)
        name = "".join(part.capitalize() for part in metric.split("_"))
        resources[f"{name}Alarm"] = {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


def _alarms(logical_id: str, resource: Resource) -> Iterator[tuple[str, Resource]]:
    properties = resource.get("Properties", {})
    match resource["Type"]:
        case "AWS::SQS::Queue" if logical_id.endswith("DLQ"):
            metric = "ApproximateNumberOfMessagesVisible"
            yield "", _alarm("AWS/SQS", metric, _queue(logical_id), "Maximum", 0, f"{logical_id} is not empty")
        case "AWS::SQS::Queue":
            metric = "ApproximateAgeOfOldestMessage"
            description = f"{logical_id} is behind"
            yield "Age", _alarm("AWS/SQS", metric, _queue(logical_id), "Maximum", _OLDEST_MESSAGE_SECONDS, description)
        case "AWS::Serverless::Function":
            dimensions = {"FunctionName": {"Ref": logical_id}}
            yield "Throttled", _alarm("AWS/Lambda", "Throttles", dimensions, "Sum", 0, f"{logical_id} was throttled")
            if any(event["Type"] in {"Kinesis", "DynamoDB"} for event in properties.get("Events", {}).values()):
                description = f"{logical_id} is behind its stream"
                yield (
                    "Behind",
                    _alarm("AWS/Lambda", "IteratorAge", dimensions, "Maximum", _STREAM_BEHIND_MS, description),
                )
        case "AWS::DynamoDB::Table":
            dimensions = {"TableName": {"Ref": logical_id}}
            description = f"Writes to {logical_id} were throttled"
            yield "Throttled", _alarm("AWS/DynamoDB", "WriteThrottleEvents", dimensions, "Sum", 0, description)


def _queue(logical_id: str) -> Resource:
    return {"QueueName": {"Fn::GetAtt": [logical_id, "QueueName"]}}


def _alarm(
    namespace: str, metric: str, dimensions: Resource, statistic: str, threshold: int, description: str
) -> Resource:
    return {
        "AlarmDescription": description,
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Statistic": statistic,
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": {"Fn::If": ["Alarmed", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]},
    }
