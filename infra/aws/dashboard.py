"""Add the dashboard to a packaged template: one page for operators in the minute of a drop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from infra.aws.alarms import NAMESPACE, SERVICE

Widget = dict[str, Any]

_REFUSALS = ("insufficient", "sold_out", "all_held", "busy")
_WIDGET_WIDTH, _WIDGET_HEIGHT, _WIDGETS_PER_ROW = 8, 6, 3


def add_dashboard(template: dict[str, Any]) -> None:
    """Add a dashboard with the stack's name to a template that has the tables, queues and functions."""
    body = json.dumps({"widgets": [_positioned(number, widget) for number, widget in enumerate(_widgets())]})
    properties = {"DashboardName": {"Ref": "AWS::StackName"}, "DashboardBody": {"Fn::Sub": body}}
    template["Resources"]["Dashboard"] = {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}


def _widgets() -> list[Widget]:
    refusals = [_count_metric(f"takes_refused_{reason}") for reason in _REFUSALS]
    attempts = [_count_metric("takes", "takes"), _count_metric("takes_repeated", "again")]
    attempts += [_count_metric(f"takes_refused_{reason}", f"r{i}") for i, reason in enumerate(_REFUSALS)]
    consumed_writes = ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", "${StockTable}"]
    return [
        _graph("Takes, and refusals by reason", [_count_metric("takes"), *refusals]),
        _graph(
            "Reads of other buckets a take",
            [
                _formula("probes / (takes + again + r0 + r1 + r2 + r3)", "probes a take"),
                *_hidden(_count_metric("take_probes", "probes"), *attempts),
            ],
        ),
        _graph(
            "Write units of the stock table a unit sold",
            [
                _formula("units / sold", "write units a unit"),
                *_hidden([*consumed_writes, {"id": "units"}], _count_metric("units_sold", "sold")),
            ],
        ),
        _graph(
            "Age of the live summary at each change (ms)",
            [[*_own_metric("summary_age"), {"stat": statistic}] for statistic in ("p50", "p99", "Maximum")],
        ),
        _graph(
            "Orders",
            [_count_metric("orders_paid"), _count_metric("payments_declined"), _count_metric("authorisations_voided")],
        ),
        _graph(
            "Declined payments, attempts refused by reason, and drops that step up",
            [
                *(_count_metric(f"attempts_refused_{kind}") for kind in ("instrument", "email", "address")),
                _count_metric("payments_declined"),
                _count_metric("challenges"),
                _count_metric("step_ups"),
            ],
        ),
        _graph(
            "Calls to the payment provider: wait for a turn (ms), turns refused, messages sent again",
            [
                [*_own_metric("provider_wait"), {"stat": "p99"}],
                _count_metric("provider_turns_refused"),
                _count_metric("captures_retried"),
            ],
        ),
        _graph(
            "Cues", [_count_metric("cues_applied"), _count_metric("cues_refused"), _count_metric("cues_unreadable")]
        ),
    ]


def _own_metric(name: str) -> list[Any]:
    return [NAMESPACE, name, "service", SERVICE]


def _count_metric(name: str, id_: str | None = None) -> list[Any]:
    return [*_own_metric(name), {"id": id_}] if id_ else _own_metric(name)


def _formula(expression: str, label: str) -> list[Any]:
    return [{"expression": expression, "label": label}]


def _hidden(*metrics: list[Any]) -> list[list[Any]]:
    return [[*metric[:-1], metric[-1] | {"visible": False}] for metric in metrics]


def _graph(title: str, metrics: Sequence[Any]) -> Widget:
    properties = {"title": title, "metrics": metrics, "stat": "Sum", "period": 60, "region": "${AWS::Region}"}
    return {"type": "metric", "properties": properties}


def _positioned(number: int, widget: Widget) -> Widget:
    row, column = divmod(number, _WIDGETS_PER_ROW)
    return {
        "x": column * _WIDGET_WIDTH,
        "y": row * _WIDGET_HEIGHT,
        "width": _WIDGET_WIDTH,
        "height": _WIDGET_HEIGHT,
        **widget,
    }
