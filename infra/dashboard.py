"""The dashboard of a packaged template: what an operator needs in the minute of a drop, on one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from infra.alarms import NAMESPACE, SERVICE

Widget = dict[str, Any]

_REFUSALS = ("fewer", "sold_out", "all_held", "busy")
_ACROSS, _DOWN, _A_ROW = 8, 6, 3


def add_dashboard(template: dict[str, Any]) -> None:
    """Add a dashboard with the stack's name to a template that has our tables, queues and functions."""
    body = json.dumps({"widgets": [_placed(number, widget) for number, widget in enumerate(_widgets())]})
    properties = {"DashboardName": {"Ref": "AWS::StackName"}, "DashboardBody": {"Fn::Sub": body}}
    template["Resources"]["Dashboard"] = {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}


def _widgets() -> list[Widget]:
    refusals = [_counted(f"takes_refused_{reason}") for reason in _REFUSALS]
    tries = [_counted("takes", "takes"), _counted("takes_repeated", "again")]
    tries += [_counted(f"takes_refused_{reason}", f"r{i}") for i, reason in enumerate(_REFUSALS)]
    written = ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", "${StockTable}"]
    return [
        _graph("Takes, and refusals by reason", [_counted("takes"), *refusals]),
        _graph(
            "Reads of other buckets a take",
            [
                _formula("probes / (takes + again + r0 + r1 + r2 + r3)", "probes a take"),
                *_hidden(_counted("take_probes", "probes"), *tries),
            ],
        ),
        _graph(
            "Write units of the stock table a unit sold",
            [
                _formula("units / sold", "write units a unit"),
                *_hidden([*written, {"id": "units"}], _counted("units_sold", "sold")),
            ],
        ),
        _graph(
            "Age of the live summary when it shows a change (ms)",
            [[*_ours("summary_age"), {"stat": statistic}] for statistic in ("p50", "p99", "Maximum")],
        ),
        _graph("Orders", [_counted("orders_paid"), _counted("payments_declined"), _counted("authorisations_voided")]),
        _graph(
            "Declined payments: who was refused another try, and drops that step up",
            [
                *(_counted(f"attempts_refused_{kind}") for kind in ("instrument", "email", "address")),
                _counted("payments_declined"),
                _counted("challenges"),
                _counted("step_ups"),
            ],
        ),
        _graph("Cues", [_counted("cues_applied"), _counted("cues_refused"), _counted("cues_unreadable")]),
    ]


def _ours(name: str) -> list[Any]:
    return [NAMESPACE, name, "service", SERVICE]


def _counted(name: str, id_: str | None = None) -> list[Any]:
    return [*_ours(name), {"id": id_}] if id_ else _ours(name)


def _formula(expression: str, label: str) -> list[Any]:
    return [{"expression": expression, "label": label}]


def _hidden(*metrics: list[Any]) -> list[list[Any]]:
    return [[*metric[:-1], metric[-1] | {"visible": False}] for metric in metrics]


def _graph(title: str, metrics: Sequence[Any]) -> Widget:
    shown = {"title": title, "metrics": metrics, "stat": "Sum", "period": 60, "region": "${AWS::Region}"}
    return {"type": "metric", "properties": shown}


def _placed(number: int, widget: Widget) -> Widget:
    row, column = divmod(number, _A_ROW)
    return {"x": column * _ACROSS, "y": row * _DOWN, "width": _ACROSS, "height": _DOWN, **widget}
