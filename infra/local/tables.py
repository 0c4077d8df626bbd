"""The tables of the deployed template, made in an emulator: nothing is shown on a schema that is never deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TEMPLATE = Path(__file__).parent.parent / "aws" / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, which no table's shape depends on."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix}")


def template() -> dict[str, Any]:
    """The infrastructure template as a mapping; values behind short tags are replaced by the tag's name."""
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)  # noqa: S506 - a safe loader
    return loaded


def make_tables(dynamodb: DynamoDBClient, prefix: str) -> dict[str, str]:
    """Create every table of the template as ``{prefix}{logical id}``; returns names by logical id."""
    names = {}
    for logical_id, resource in template()["Resources"].items():
        if resource.get("Type") != "AWS::DynamoDB::Table":
            continue
        names[logical_id] = f"{prefix}{logical_id}"
        shape = {key: resource["Properties"][key] for key in ("BillingMode", "AttributeDefinitions", "KeySchema")}
        stream = resource["Properties"].get("StreamSpecification")
        if stream:
            shape["StreamSpecification"] = {"StreamEnabled": True, **stream}
        dynamodb.create_table(TableName=names[logical_id], **shape)
    return names
