"""One value, one string of bytes, one digest: RFC 8785 JSON in which every number is a string.

RFC 8785 reads numbers as IEEE 754 doubles, which hold no amount above 2**53; so integers are written as
decimal strings, and floats are refused. The same rule holds for every digest that `pricing` publishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeAlias

import rfc8785

from pricing.errors import CanonicalError

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"


def canonical(value: Json) -> bytes:
    """The RFC 8785 form of `value`, integers as decimal strings; floats and lone surrogates are refused."""
    try:
        return rfc8785.dumps(_in_words(value, "$"))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as refused:
        raise CanonicalError(
            field="$", rule=f"has no canonical form: {refused}", remedy="give text that has a UTF-8 form"
        ) from refused


def digest(value: Json) -> str:
    """SHA-256 of the canonical form, in lower-case hex."""
    return sha256(canonical(value)).hexdigest()


def _in_words(value: object, path: str) -> Any:
    """`value` with each integer spelled out, ready for RFC 8785."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return str(value)
        case Mapping():
            return {key: _in_words(member, f"{path}.{key}") for key, member in value.items()}
        case list() | tuple():
            return [_in_words(member, f"{path}[{i}]") for i, member in enumerate(value)]
        case _:
            raise CanonicalError(
                field=path,
                rule=f"a {type(value).__name__} has no canonical form",
                remedy="give text, an integer, a list or an object",
            )
