"""Collect the content of each block of the reference pages: from the code, the template, the Makefile, the commands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from chalicelib.payments.events import STRIPE_EVENTS
from chalicelib.purchase.order_status import OrderStatus, transition_table
from chalicelib.shows import CueType
from infra.aws.alarms import add_alarms
from infra.cli.main import app
from infra.docs_reference import codes
from infra.docs_reference.events import order_events
from infra.docs_reference.pages import Collector, Rows
from infra.docs_reference.template import load_template
from infra.paths import ROOT


def order_statuses() -> Rows:
    """Statuses of an order."""
    return Rows([(f"`{one.value}`",) for one in OrderStatus])


def transitions() -> str:
    """The table of transitions."""
    return transition_table()


def message_codes() -> Rows:
    """Codes of messages to buyers."""
    found = codes.message_codes()
    return Rows([(f"`{code}`", ", ".join(sorted(found[code]))) for code in sorted(found)])


def problem_codes() -> Rows:
    """Codes of errors, of the functions and of API Gateway."""
    found = codes.problem_codes()
    for response in load_template()["Resources"]["RestAPI"]["Properties"]["GatewayResponses"].values():
        body = next(iter(response["ResponseTemplates"].values()))
        code = re.findall(r'"code": "(\w+)"', body)[0]
        if "StatusCode" in response:
            found.setdefault(code, set()).add(response["StatusCode"])
    return Rows([(f"`{code}`", ", ".join(map(str, sorted(found[code])))) for code in sorted(found)])


def cue_types() -> Rows:
    """Types of cues, with their subject."""
    return Rows([(f"`{one.value}`", one.value.split(".")[2]) for one in CueType])


def refusals() -> Rows:
    """Reasons for which a cue is refused."""
    return Rows([(f"`{code}`",) for code in codes.refusal_codes()])


def metrics() -> Rows:
    """Metrics of the functions, and whether each has an alarm."""
    alarms: dict[str, Any] = {"Resources": {}}
    add_alarms(alarms)
    alarmed = {alarm["Properties"]["MetricName"] for alarm in alarms["Resources"].values()}
    return Rows([(f"`{name}`", "yes" if name in alarmed else "no") for name in codes.metric_names()])


def parameters() -> str:
    """Parameters of the template."""
    rows = ["| parameter | default | meaning |", "|---|---|---|"]
    for name, found in load_template()["Parameters"].items():
        default = f"`{found['Default']}`" if found.get("Default") not in {None, ""} else _absent(found)
        rows.append(f"| `{name}` | {default} | {'. '.join(_about(found)) or '?'} |")
    return "\n".join(rows) + "\n"


def _absent(parameter: Mapping[str, Any]) -> str:
    return "empty" if "Default" in parameter else "none: required"


def _about(parameter: Mapping[str, Any]) -> list[str]:
    sentences = [parameter["Description"]] if "Description" in parameter else []
    if "AllowedValues" in parameter:
        sentences.append("One of " + ", ".join(f"`{value}`" for value in parameter["AllowedValues"]))
    if "MinValue" in parameter:
        sentences.append(f"At least {parameter['MinValue']}")
    return sentences


def provider_events() -> Rows:
    """Events of Stripe, by the kind that decides what the worker does."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in STRIPE_EVENTS.items():
        by_kind.setdefault(kind.value, []).append(f"`{name}`")
    return Rows([(f"`{kind}`", ", ".join(names)) for kind, names in by_kind.items()])


def roles() -> str:
    """Roles of the functions: actions, and the resources they are allowed on. Each also writes its own log."""
    rows = ["| function | actions | on |", "|---|---|---|"]
    for name, resource in load_template()["Resources"].items():
        if resource.get("Type") == "AWS::IAM::Role":
            (policy,) = resource["Properties"]["Policies"]
            statements = [one for one in policy["PolicyDocument"]["Statement"] if "logs:" not in str(one["Action"])]
            rows += [f"| `{name}` | {_statement(one)} |" for one in statements]
    return "\n".join(rows) + "\n"


def _statement(statement: Mapping[str, Any]) -> str:
    actions, places = _listed(statement["Action"]), _listed(statement["Resource"])
    bounds = [
        f"{key.removeprefix('dynamodb:')}: {', '.join(f'`{value}`' for value in _listed(values))}"
        for condition in statement.get("Condition", {}).values()
        for key, values in condition.items()
    ]
    on = ", ".join(f"`{place}`" for place in places) + (f" ({'; '.join(bounds)})" if bounds else "")
    return f"{', '.join(f'`{action}`' for action in actions)} | {on}"


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def make_targets() -> str:
    """Targets of the Makefile that have a description."""
    found = re.findall(r"^([a-z]+):.*## (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    return "| target | does |\n|---|---|\n" + "".join(f"| `make {name}` | {does} |\n" for name, does in found)


def commands() -> str:
    """Every command of ``livedrop`` with its arguments and options."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return "\n".join(_commands(group, "livedrop"))


def _commands(group: TyperGroup, before: str) -> list[str]:
    found = []
    for name, command in group.commands.items():
        path = f"{before} {name}"
        found += _commands(command, path) if isinstance(command, TyperGroup) else [_command(command, path)]
    return found


def _command(command: Any, path: str) -> str:
    assert isinstance(command, TyperCommand)
    page = [f"## `{path}`", "", (command.help or "").strip(), ""]
    rows = [_parameter(one) for one in command.params]
    if rows:
        page += ["| argument or option | meaning | default |", "|---|---|---|", *rows, ""]
    return "\n".join(page)


def _parameter(parameter: Any) -> str:
    option = parameter.param_type_name == "option"
    name = ", ".join(f"`{one}`" for one in parameter.opts) if option else f"`{parameter.name.upper()}`"
    required = "asked for when absent" if option and parameter.prompt else "required"
    default = required if parameter.required else _default(parameter.default)
    if parameter.envvar:
        default += f"; from `{parameter.envvar}`"
    return f"| {name} | {(parameter.help or '').replace('|', chr(92) + '|')} | {default} |"


def _default(value: object) -> str:
    return "none" if value is None or value is False or callable(value) else f"`{value}`"


def events() -> str:
    """An example of each event."""
    return "\n".join(
        f"### `{event['type']}`\n\n```json\n{json.dumps(event, indent=2)}\n```\n" for event in order_events()
    )


def event_fields() -> Rows:
    """Fields of the events' ``data``, by the last part of the type."""
    found: dict[str, list[str]] = {}
    for event in order_events():
        for path in _paths(event["data"]):
            found.setdefault(path, []).append(event["type"].rpartition(".")[2])
    return Rows(
        [(f"`{path}`", "all" if len(of) == len(order_events()) else ", ".join(of)) for path, of in found.items()]
    )


def _paths(value: Mapping[str, Any], before: str = "") -> list[str]:
    found: list[str] = []
    for name, part in value.items():
        found.append(before + name)
        if isinstance(part, list) and part and isinstance(part[0], dict):
            found += _paths(part[0], f"{before}{name}[].")
    return found


COLLECTORS: Final[Mapping[str, Collector]] = {
    "order_statuses": order_statuses,
    "transitions": transitions,
    "message_codes": message_codes,
    "problem_codes": problem_codes,
    "cue_types": cue_types,
    "refusals": refusals,
    "metrics": metrics,
    "parameters": parameters,
    "provider_events": provider_events,
    "roles": roles,
    "make_targets": make_targets,
    "commands": commands,
    "events": events,
    "event_fields": event_fields,
}
