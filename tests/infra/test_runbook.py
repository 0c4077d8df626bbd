"""The runbook has a row for each alarm of the packaged template, and none for an alarm that does not exist."""

from __future__ import annotations

import re

from infra.paths import ROOT
from tests.infra.packaged_template import packaged_template

RUNBOOK = (ROOT / "infra" / "docs" / "operations" / "runbook.md").read_text()


def test_every_alarm_has_a_row_in_the_runbook() -> None:
    documented = {
        name for row in re.findall(r"^\|([^|]*)\|", RUNBOOK, flags=re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    defined = {
        name.removesuffix("Alarm")
        for name, found in packaged_template()["Resources"].items()
        if found["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert {name for name in defined if name not in documented and not name.endswith(("Throttled", "Behind"))} == set()
    assert documented - {"Throttled", "Behind"} <= defined
