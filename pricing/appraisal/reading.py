"""Inputs from JSON by the shape of their classes: what does not fit is refused with the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pricing.errors import AppraisalError

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)

_hints = cache(get_type_hints)


def read(kind: Any, value: Any, field: str) -> Any:
    """`value`, parsed JSON, as a `kind`: text, integer (also as decimal text), list, choice or dataclass of such.

    AppraisalError names the member by its path below `field`. Members that a dataclass does not know are refused,
    those with a default may be absent.
    """
    if kind is int:
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            return int(value)
        if type(value) is not int:
            raise _unreadable(field, "a whole number in decimal", value)
        return value
    if kind is str:
        if not isinstance(value, str):
            raise _unreadable(field, "text", value)
        return value
    origin = get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _unreadable(field, "a list", value)
        return tuple(read(get_args(kind)[0], each, f"{field}[{i}]") for i, each in enumerate(value))
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        choices = get_args(kind) if origin is Literal else tuple(kind)
        if value not in choices:
            raise _unreadable(field, f"one of {', '.join(choices)}", value)
        return value if origin is Literal else kind(value)
    assert is_dataclass(kind), kind
    return _record(kind, value, field)


def _record(kind: Any, value: Any, field: str) -> Any:
    if not isinstance(value, Mapping):
        raise _unreadable(field, "an object", value)
    known = {each.name: each for each in fields(kind)}
    prefix = f"{field}." if field else ""
    for name in value:
        if name not in known:
            raise AppraisalError(
                field=f"{prefix}{name}",
                rule=f"no such member; known are {', '.join(known)}",
                remedy="correct the name, or leave it out",
            )
    for name, each in known.items():
        if name not in value and each.default is MISSING:
            raise AppraisalError(field=f"{prefix}{name}", rule="is missing", remedy="state it")
    hints = _hints(kind)
    return kind(**{name: read(hints[name], member, f"{prefix}{name}") for name, member in value.items()})


def _unreadable(field: str, wanted: str, value: object) -> AppraisalError:
    return AppraisalError(
        field=field or "inputs",
        rule=f"must be {wanted}, not {type(value).__name__} {value!r:.60}",
        remedy="correct it",
    )
