"""Make the template as packaging would, without packaging."""

from __future__ import annotations

from typing import Any

from infra.aws.alarms import add_alarms
from infra.aws.dashboard import add_dashboard
from infra.aws.package import AWS
from infra.paths import TEMPLATE
from tests.infra.intrinsics import load


def packaged_template() -> dict[str, Any]:
    template = load(TEMPLATE)
    for resource in template["Resources"].values():
        resource.setdefault("Type", "AWS::Serverless::Function" if "Role" in resource["Properties"] else "")
    template["Globals"]["Function"]["Runtime"] = AWS.runtime
    add_alarms(template)
    add_dashboard(template)
    return template
