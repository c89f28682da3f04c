"""Carry out one technique on one column: every distinct value once, then the rows by their codes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, assert_never

import pyarrow as pa
from cryptography.hazmat.primitives import hashes, hmac

from exchange.desensitization import hierarchies
from exchange.desensitization.detect import Column
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.policy import Generalize, Keep, Mask, Pseudonymize, Round, Suppress, Technique

KEY_BYTES = 32
PSEUDONYM_ALGORITHM = "HMAC-SM3-128"
"""HMAC (RFC 2104) over SM3 (GB/T 32905-2016), the first 128 bits, in base32 behind `psn-`."""


def transform(column: Column, technique: Technique, key: bytes) -> Any:
    """What each of the column's distinct values becomes, as an Arrow array beside `column.coded.values`; NULL stays NULL.

    None for a suppressed column. `key` is the product's own, of 32 bytes. Raises PolicyRefused where the
    technique does not fit the column.
    """
    values = column.coded.values
    match technique:
        case Keep():
            return values
        case Suppress():
            return None
        case Generalize(hierarchy, level):
            if level == 0:
                return values
            return pa.array(hierarchies.labels(column.name, hierarchy, level, values), pa.string())
        case Mask(keep_first, keep_last):
            return _each(values, lambda value: mask(hierarchies.text(value), keep_first, keep_last))
        case Round(step):
            return _rounded(column, step)
        case Pseudonymize():
            return _each(values, pseudonymizer(key, column.name))
        case _:
            assert_never(technique)


def mask(text: str, keep_first: int, keep_last: int) -> str:
    """All but the first and last characters as `*`; a text that would stay whole is masked whole."""
    hidden = len(text) - keep_first - keep_last
    if hidden <= 0:
        return "*" * len(text)
    return text[:keep_first] + "*" * hidden + text[len(text) - keep_last :]


def pseudonymizer(key: bytes, column: str) -> Callable[[Any], str]:
    """The function from a value to its pseudonym under this key, in this column.

    The same value has the same pseudonym in one column of one product, and no relation to any in another
    column or product.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a pseudonym key has {KEY_BYTES} bytes")
    started = hmac.HMAC(key, hashes.SM3())
    # The length first: no column name can run into a value.
    name = column.encode()
    started.update(len(name).to_bytes(4, "big") + name)

    def pseudonym(value: Any) -> str:
        mac = started.copy()
        mac.update(hierarchies.text(value).encode())
        return "psn-" + base64.b32encode(mac.finalize()[:16]).decode().rstrip("=").lower()

    return pseudonym


def _each(values: Any, change: Callable[[Any], str]) -> Any:
    return pa.array([None if value is None else change(value) for value in values.to_pylist()], pa.string())


def _rounded(column: Column, step: Decimal) -> Any:
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_decimal(column.type)
    ):
        raise PolicyRefused(
            f"column {column.name!r} holds {column.type}, not numbers",
            field=column.name,
            rule="only numbers are rounded",
            remedy="mask, generalize or suppress the column",
        )
    whole = pa.types.is_integer(column.type) and step == step.to_integral_value()
    rounded: list[int | float | None] = []
    for value in column.coded.values.to_pylist():
        if value is None:
            rounded.append(None)
            continue
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not exact.is_finite():
            rounded.append(None)
            continue
        nearest = (exact / step).to_integral_value(ROUND_HALF_EVEN) * step
        rounded.append(int(nearest) if whole else float(nearest))
    return pa.array(rounded, pa.int64() if whole else pa.float64())
