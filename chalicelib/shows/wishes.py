"""What an operator asks a show or a drop to be: the bodies of the operator's PUTs, validated strictly."""

from __future__ import annotations

import re
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from chalicelib import instants
from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.shows.model import Currency, Id, is_id

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


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be an IANA time zone, such as Europe/London") from None
    return name


Timestamp = Annotated[Instant, BeforeValidator(parse_timestamp)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9_+/-]{1,63}$"), AfterValidator(_check_time_zone)]
WebAddress = Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[^\s/]\S*$")]
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


class PutShowRequest(StrictModel):
    """What a show shall be."""

    title: Text
    currency: Currency
    starts_at: Timestamp
    host: Text | None = None
    channels: Annotated[list[Text], Field(max_length=50)] = []
    time_zone: TimeZone | None = None
    market: Id | None = None


class Price(StrictModel):
    """An amount in minor units of its currency."""

    amount: Annotated[int, Field(ge=1, le=100_000_000)]
    currency: Currency


class PutDropRequest(StrictModel):
    """What a drop shall be. Without ``opens_at`` it waits for its cue."""

    show_id: Id
    sku: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S(.*\S)?$")]
    title: Text
    unit_price: Price
    stock: Units
    limit_per_buyer: Units | None = None
    usual_quantity: Units = 1
    hold_seconds: Annotated[int, Field(ge=5, le=3_600)] = 300
    opens_at: Timestamp | None = None
    closes_at: Timestamp | None = None
    image_url: WebAddress | None = None
    creator_id: Id | None = None
    commission_bps: Annotated[int, Field(ge=0, le=10_000)] = 0
    tax_category: Id | None = None
    max_quantity: Units | None = None


def to_bad_input(error: ValidationError, root: str = "$") -> BadInput:
    """The first of a body's faults as an error that names the field by its JSONPath."""
    detail = error.errors(include_url=False, include_input=False)[0]
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    field = path[:MAX_FIELD_PATH]
    reason = "must be a JSON object" if detail["type"] == "model_type" else detail["msg"].removeprefix("Value error, ")
    return BadInput(f"{field}: {reason}", field=field)


def check_id(identifier: str) -> None:
    """``BadInput`` unless this may be the id of a show or drop."""
    if not is_id(identifier):
        detail = "An id has 1 to 64 letters, digits or any of _.- and begins with a letter or digit."
        raise BadInput(detail, field="id")
