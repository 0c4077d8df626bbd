"""Parse a cue: a CloudEvents 1.0 JSON event becomes a :class:`Cue`, or an error that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from chalicelib.errors import BadInput
from chalicelib.schema import MAX_FIELD_PATH, Id, StrictModel, Timestamp, Units, matching, to_bad_input
from chalicelib.shows.model import Cue, CueType

_EXTENSION = re.compile(r"[a-z0-9]{1,20}")
_JSON = re.compile(r"application/([a-z0-9.-]+\+)?json\s*(;.*)?", re.IGNORECASE)


class _Envelope(BaseModel):
    """The attributes of a CloudEvent 1.0 that a cue needs. Extension attributes are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    specversion: Literal["1.0"]
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    type: Annotated[CueType, Field(strict=False)]
    subject: Id
    time: Timestamp
    datacontenttype: Annotated[str, matching(_JSON, "must be a JSON media type")] | None = None


class _NoData(StrictModel):
    pass


class _OpenData(StrictModel):
    closes_at: Timestamp | None = None
    reopen: bool = False


class _ExtendData(StrictModel):
    closes_at: Timestamp


class _StockAddedData(StrictModel):
    quantity: Units


_DATA_MODELS: Mapping[CueType, type[StrictModel]] = {
    CueType.OPEN: _OpenData,
    CueType.EXTEND: _ExtendData,
    CueType.STOCK_ADDED: _StockAddedData,
}


def parse_cue(event: Mapping[str, Any]) -> Cue:
    """Parse a decoded CloudEvents 1.0 JSON event.

    Extension attributes are accepted and ignored (CloudEvents 1.0.2, section "Extension Context Attributes":
    lower-case letters and digits). Any other unknown name is refused, and so is unknown data.

    Raises: ``BadInput`` naming the field, such as ``$.data.closes_at``.
    """
    if not isinstance(event, Mapping):
        raise BadInput("`$` must be a CloudEvents 1.0 JSON object.", field="$")
    _check_attribute_names(event)
    try:
        envelope = _Envelope.model_validate(event)
    except ValidationError as error:
        raise to_bad_input(error) from None
    data = event.get("data")
    try:
        content = _DATA_MODELS.get(envelope.type, _NoData).model_validate({} if data is None else data)
    except ValidationError as error:
        raise to_bad_input(error, root="$.data") from None
    attributes = envelope.model_dump(exclude={"specversion", "datacontenttype"})
    cue = Cue.model_validate(attributes | content.model_dump())
    if cue.closes_at is not None and cue.closes_at <= cue.time:
        raise BadInput("`$.data.closes_at` must be later than `$.time`.", field="$.data.closes_at")
    return cue


def _check_attribute_names(event: Mapping[str, Any]) -> None:
    for name in event:
        if name == "data_base64" or not isinstance(name, str) or not _EXTENSION.fullmatch(name):
            field = f"$.{name}"[:MAX_FIELD_PATH]
            raise BadInput(f"`{field}` is no attribute of a CloudEvent with JSON data. Remove it.", field=field)
