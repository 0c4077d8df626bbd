"""Where the running stack is and how to talk to it: what ``livedrop run`` wrote into its home."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from infra.local.local_state import LocalState, NotRunning

_SHOP_TIME_ZONE: Final = "Europe/London"
"""The product's default, for a file that names none."""


@dataclass(frozen=True, slots=True)
class StackInfo:
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
    def read(cls, local_state: LocalState) -> StackInfo:
        """The facts of the stack that runs there. :class:`NotRunning` when none does, or its file lacks something."""
        try:
            known = local_state.running_stack_info()
            values = {one.name: known[one.name] for one in fields(cls) if one.name != "time_zone"}
        except KeyError as error:
            raise NotRunning(f"{local_state.stack_info_file} is not what 'make run' writes: {error!r}") from None
        return cls(**values, time_zone=known.get("time_zone", _SHOP_TIME_ZONE))
