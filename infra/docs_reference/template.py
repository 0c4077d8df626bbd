"""The template, with references written as the names of what they refer to."""

from __future__ import annotations

import re
from typing import Any

import yaml

from infra.paths import TEMPLATE

_NAME = re.compile(r"\$\{([A-Za-z]+)(?:\.Arn)?\}")


class _Loader(yaml.SafeLoader):
    """YAML in which ``!GetAtt Queue.Arn`` is ``Queue``, and ``!Sub "${Bucket.Arn}/x"`` is ``Bucket/x``."""


def _by_name(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        text = str(loader.construct_scalar(node))
        return text.removesuffix(".Arn") if tag == "GetAtt" else _NAME.sub(r"\1", text)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    raise TypeError(f"!{tag} over a mapping")


_Loader.add_multi_constructor("!", _by_name)


def load_template() -> dict[str, Any]:
    """The template as a mapping."""
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)  # noqa: S506 - a safe loader
    return loaded
