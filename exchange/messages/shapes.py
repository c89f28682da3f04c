"""The building blocks of all messages: whole numbers as decimal strings, identifiers, digests."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from ledger.entries import canonical
from ledger.errors import CanonicalError

WHOLE_LIMIT = 2**63 - 1
IDENTIFIER = r"^[A-Za-z0-9_-]{1,64}$"
WHOLE = "^(0|[1-9][0-9]{0,18})$"


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a whole number as a decimal string")
    if isinstance(value, str):
        if (
            not value.isascii()
            or not value.isdecimal()
            or len(value) > 19
            or (value[0] == "0" and value != "0")
        ):
            raise ValueError("a whole number as a decimal string, without sign, leading zeros or fraction")
        value = int(value)
    if not 0 <= value <= WHOLE_LIMIT:
        raise ValueError(f"a whole number from 0 to {WHOLE_LIMIT}")
    return int(value)


Whole = Annotated[
    int,
    BeforeValidator(_whole),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": WHOLE, "examples": ["1000000"]}),
]
"""Money and time: an integer here, a decimal string on the wire, so that no reader makes a float of it."""


def _signed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an integer as a decimal string")
    if isinstance(value, str) and (len(value) > 40 or not re.fullmatch("0|-?[1-9][0-9]*", value, re.ASCII)):
        raise ValueError("an integer as a decimal string, without plus, leading zeros or fraction")
    return int(value)


def _document(value: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical(value)
    except CanonicalError as error:
        raise ValueError(f"{error.field}: {error.detail}; {error.rule}") from error
    return value


Document = Annotated[dict[str, Any], AfterValidator(_document)]
"""A JSON object that others made, as the log can keep it (RFC 8785): no numbers, NFC, at most 32 levels."""

Signed = Annotated[
    int,
    BeforeValidator(_signed),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^(0|-?[1-9][0-9]*)$", "examples": ["-1000000"]}),
]
"""An amount that may be below nothing: an integer here, a decimal string on the wire."""

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Purpose = Annotated[str, StringConstraints(pattern=r"^[a-z_]{0,40}$")]


class Message(BaseModel):
    """A request body: unknown members are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
