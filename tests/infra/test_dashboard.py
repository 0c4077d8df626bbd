"""The dashboard and the alarms use metrics that the code counts."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from infra.aws.alarms import NAMESPACE
from infra.paths import ROOT
from tests.infra.packaged_template import packaged_template


def string_constants() -> set[str]:
    """Return every string in the application's code. Each metric's name is one of them."""
    sources = [path.read_text() for path in (ROOT / "chalicelib").rglob("*.py")]
    nodes = (node for source in sources for node in ast.walk(ast.parse(source)))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def metrics_of(body: Any) -> Iterator[list[Any]]:
    for widget in body["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if isinstance(metric[0], str):
                yield metric


def dashboard() -> Any:
    return json.loads(packaged_template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])


def test_every_own_metric_on_the_dashboard_is_counted_somewhere() -> None:
    own_metrics = {metric[1] for metric in metrics_of(dashboard()) if metric[0] == NAMESPACE}
    assert len(own_metrics) > 10
    assert own_metrics - string_constants() == set()


def test_every_formula_uses_metrics_of_its_widget() -> None:
    for widget in dashboard()["widgets"]:
        metrics = widget["properties"]["metrics"]
        named = {metric[-1].get("id") for metric in metrics if isinstance(metric[-1], dict)}
        for metric in metrics:
            if "expression" in metric[0]:
                words = set(metric[0]["expression"].replace("(", " ").replace(")", " ").split())
                assert words - {"/", "+"} <= named


def test_every_alarm_on_an_own_metric_watches_one_that_is_counted() -> None:
    alarms = [
        one["Properties"]
        for one in packaged_template()["Resources"].values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    ]
    own_metrics = {alarm["MetricName"] for alarm in alarms if alarm["Namespace"] == NAMESPACE}
    assert own_metrics
    assert own_metrics - string_constants() == set()
