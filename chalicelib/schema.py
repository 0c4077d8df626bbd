"""Types that requests and records share, and the mapping of validation errors to ``BadInput``."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from chalicelib import instants
from chalicelib.currencies import CURRENCIES, MAX_AMOUNT, amount_rule
from chalicelib.errors import BadInput
from chalicelib.instants import Instant

_PATTERN_REASONS: dict[str, str] = {}


def matching(
    pattern: str, reason: str, *, min_length: int | None = None, max_length: int | None = None
) -> StringConstraints:
    """Constrain a text to a regular expression, and say in words what the text must be."""
    _PATTERN_REASONS[pattern] = reason
    return StringConstraints(pattern=pattern, min_length=min_length, max_length=max_length)


_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
Id = Annotated[
    str, matching(f"^{_ID}$", "must be 1 to 64 letters, digits, '_', '.' or '-', and begin with a letter or a digit")
]


_UNSUPPORTED_CURRENCY: Final = "unsupported_currency"


def _check_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise PydanticCustomError(_UNSUPPORTED_CURRENCY, "must be the code of a currency in ISO 4217, such as GBP")
    return code


CurrencyCode = Annotated[str, matching(r"^[A-Z]{3}$", "must be three capital letters, as in ISO 4217")]
"""A code of a stored record. It may be one that ISO 4217 has withdrawn since the record was written."""
Currency = Annotated[CurrencyCode, AfterValidator(_check_currency)]


def is_id(text: str) -> bool:
    """Tell whether a text has the form of the id of a show or drop."""
    return re.fullmatch(_ID, text) is not None


class FrozenModel(BaseModel):
    """An immutable model of a stored item. It ignores attributes that it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")
_EARLIEST, _LATEST = instants.parse_rfc3339("2000-01-01T00:00:00Z"), instants.parse_rfc3339("2200-01-01T00:00:00Z")


def parse_timestamp(value: object) -> Instant:
    """Parse an RFC 3339 date-time between the years 2000 and 2200.

    Raises: ``ValueError`` for anything else.
    """
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 date-time with an offset, such as 2026-11-27T19:00:00Z")
    instant = instants.parse_rfc3339(value.upper())
    if not _EARLIEST <= instant < _LATEST:
        raise ValueError("must be between the years 2000 and 2200")
    return instant


Timestamp = Annotated[Instant, BeforeValidator(parse_timestamp)]
Text = Annotated[str, matching(r"\S", "must have a visible character", min_length=1, max_length=200)]
MAX_UNITS_PER_REQUEST = 1_000_000
MAX_FIELD_PATH = 200
"""Characters of a JSONPath that an error shows. The sender chose the names in it, so they may have any length."""
Units = Annotated[int, Field(ge=1, le=MAX_UNITS_PER_REQUEST)]


class StrictModel(BaseModel):
    """A request body. Every field is known and has its exact type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def from_body(cls, body: object) -> Self:
        """Read a decoded JSON body. Raises: ``BadInput`` naming the first field that is wrong."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise to_bad_input(error) from None


class Price(StrictModel):
    """An amount in minor units of its currency: at most about 1,000,000 US dollars, and a multiple of the step."""

    currency: Currency
    amount: Annotated[int, Field(ge=1, json_schema_extra={"maximum": MAX_AMOUNT})]

    @field_validator("amount")
    @classmethod
    def _check_amount(cls, amount: int, info: ValidationInfo) -> int:
        rule = amount_rule(amount, info.data["currency"]) if "currency" in info.data else None
        if rule is not None:
            raise ValueError(rule)
        return amount


def to_bad_input(error: ValidationError, root: str = "$") -> BadInput:
    """Convert the first fault of a body to an error that names the field by its JSONPath (RFC 9535)."""
    fault = error.errors(include_url=False, include_input=False)[0]
    parts = fault["loc"][:-1] if fault["loc"][-1:] == ("[key]",) else fault["loc"]  # pydantic's mark of a map's key
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    pattern = str(fault.get("ctx", {}).get("pattern"))
    reason = _PATTERN_REASONS.get(pattern) or _reason(fault["type"], fault["msg"]).rstrip(".")
    field = path[:MAX_FIELD_PATH]
    separator = " " if reason.startswith(("must ", "is ")) else ": "
    code = _UNSUPPORTED_CURRENCY if fault["type"] == _UNSUPPORTED_CURRENCY else None
    return BadInput(f"`{field}`{separator}{reason}.", field=field, code=code)


def _reason(kind: str, message: str) -> str:
    """Reword a message of pydantic, so that a sentence can begin with the field."""
    if kind in _REASONS:
        return _REASONS[kind]
    text = message.removeprefix("Value error, ")
    return re.sub(r" after validation, not \d+$", "", re.sub(r"^\w+ should ", "must ", text))


_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
}
