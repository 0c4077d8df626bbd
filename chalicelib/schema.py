"""Types that requests and records share, and one mapping of validation errors."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from chalicelib import instants
from chalicelib.errors import BadInput
from chalicelib.instants import Instant

_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
Id = Annotated[str, StringConstraints(pattern=f"^{_ID}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


def is_id(text: str) -> bool:
    """Whether a text may be the id of a show or drop at all."""
    return re.fullmatch(_ID, text) is not None


class FrozenModel(BaseModel):
    """A model that never changes; what it does not know of a stored item it leaves aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")
_EARLIEST, _LATEST = instants.parse_rfc3339("2000-01-01T00:00:00Z"), instants.parse_rfc3339("2200-01-01T00:00:00Z")


def parse_timestamp(value: object) -> Instant:
    """The instant of an RFC 3339 date-time between the years 2000 and 2200; ``ValueError`` for anything else."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 date-time with an offset, such as 2026-11-27T19:00:00Z")
    instant = instants.parse_rfc3339(value.upper())
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError("must lie between the years 2000 and 2200")
    return instant


Timestamp = Annotated[Instant, BeforeValidator(parse_timestamp)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
MAX_UNITS_PER_REQUEST = 1_000_000
MAX_FIELD_PATH = 200
"""Characters of a field's JSONPath that an error tells: names in it are the sender's, and may have any length."""
Units = Annotated[int, Field(ge=1, le=MAX_UNITS_PER_REQUEST)]


class StrictModel(BaseModel):
    """A body whose every field is known and of its exact type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def from_body(cls, body: object) -> Self:
        """The wish in a decoded JSON body. ``BadInput`` names the first field that is wrong."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise to_bad_input(error) from None


class Price(StrictModel):
    """An amount in minor units of its currency."""

    amount: Annotated[int, Field(ge=1, le=100_000_000)]
    currency: Currency


def to_bad_input(error: ValidationError, root: str = "$") -> BadInput:
    """The first of a body's faults as an error that names the field by its JSONPath."""
    detail = error.errors(include_url=False, include_input=False)[0]
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    field = path[:MAX_FIELD_PATH]
    reason = "must be a JSON object" if detail["type"] == "model_type" else detail["msg"].removeprefix("Value error, ")
    return BadInput(f"{field}: {reason}", field=field)
