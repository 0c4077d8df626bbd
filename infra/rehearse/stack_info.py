"""Read the addresses and keys of the running stack from ``local.json``, which ``livedrop run`` writes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from infra.local.local_state import LocalState, NotRunning

_SHOP_TIME_ZONE: Final = "Europe/London"
"""The product's default, for a file that names none."""


@dataclass(frozen=True, slots=True)
class StackInfo:
    """The addresses and keys that an outside client needs. No table names, because the rehearsal reads no tables."""

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
    """Time zone of the shop's business days (IANA name)."""

    @classmethod
    def read(cls, local_state: LocalState) -> StackInfo:
        """Read the info of the running stack. Raises: NotRunning, also when its file lacks a field."""
        try:
            info = local_state.running_stack_info()
            values = {one.name: info[one.name] for one in fields(cls) if one.name != "time_zone"}
        except KeyError as error:
            raise NotRunning(f"{local_state.stack_info_file} lacks a field that `make run` writes: {error!r}") from None
        return cls(**values, time_zone=info.get("time_zone", _SHOP_TIME_ZONE))
