"""Where the running stack is and how to talk to it: ``.livedrop/local.json``, which ``livedrop run`` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

_SHOP_TIME_ZONE: Final = "Europe/London"
"""The product's default, for a file that names none."""


class NotRunning(Exception):
    """There is no running stack to rehearse with; the message says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a client outside needs. No table names: the rehearsal reads no tables."""

    http: str
    aws_endpoint: str
    region: str
    operator_token: str
    finance_token: str
    platform_profile: str
    platform_key: str
    cue_secret: str
    cue_stream: str
    bucket: str
    aws_access_key_id: str
    aws_secret_access_key: str
    time_zone: str
    """Where the shop's business days begin and end (IANA)."""

    @classmethod
    def read(cls, path: Path) -> Facts:
        """The facts in a file. :class:`NotRunning` when it is missing or lacks something."""
        try:
            known: dict[str, Any] = json.loads(path.read_text())
            facts = {one.name: known[one.name] for one in fields(cls) if one.name != "time_zone"}
        except FileNotFoundError:
            raise NotRunning(f"{path} is missing: start the stack with 'make run'") from None
        except (ValueError, KeyError) as error:
            raise NotRunning(f"{path} is not what 'make run' writes: {error!r}") from None
        return cls(**facts, time_zone=known.get("time_zone", _SHOP_TIME_ZONE))
