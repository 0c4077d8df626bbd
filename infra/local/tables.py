"""Create the tables of the deployed template in an emulator, so that no test passes on another schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from infra.paths import TEMPLATE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class _Loader(yaml.SafeLoader):
    """Read YAML with CloudFormation's short tags. No table's schema depends on them."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix}")


def template() -> dict[str, Any]:
    """Return the template as a mapping. The tag's name replaces each value behind a short tag."""
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)  # noqa: S506 - a safe loader
    return loaded


def make_tables(dynamodb: DynamoDBClient, prefix: str) -> dict[str, str]:
    """Create every table of the template as ``{prefix}{logical id}``. Returns names by logical id."""
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
