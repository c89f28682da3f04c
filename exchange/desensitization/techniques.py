"""Carry out techniques on columns: every distinct value once where a value alone decides, else row by row.

What looks like chance is made of the product's own key: SM4 (GB/T 32907-2016) in counter mode under a key that
HKDF (RFC 5869) over SM3 (GB/T 32905-2016) derives for one use in one column. So the same table and key make the
same product, and neither key nor chance can be read off it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.desensitization import hierarchies
from exchange.desensitization.detection.detect import Column, Detected
from exchange.desensitization.microaggregation import aggregated, grouped, grouped_values
from exchange.desensitization.policy import (
    Clamp,
    Generalize,
    Keep,
    Mask,
    Microaggregate,
    Noise,
    Pseudonymize,
    Recode,
    Round,
    ShiftDates,
    Suppress,
    Technique,
    Tokenize,
)
from exchange.desensitization.policy.members import plain, refused
from exchange.desensitization.search.classes import Codes, Floats, encode
from exchange.desensitization.search.losses import cell_loss

KEY_BYTES = 32
PSEUDONYM_ALGORITHM = "HMAC-SM3-128"
"""HMAC (RFC 2104) over SM3 (GB/T 32905-2016), the first 128 bits, in base32 behind `psn-`."""
TOKEN_ALGORITHM = "SM4-GCM, synthetic nonce (HMAC-SM3-96)"  # noqa: S105  # the name of an algorithm
"""`tok-` and base32 (RFC 4648, lower case, unpadded) of nonce (12 bytes), ciphertext and tag (16 bytes).

SM4 in GCM (RFC 8998) over the value in UTF-8, padded to whole blocks (PKCS#7) so that the length tells little; the
nonce is the HMAC-SM3 of the value under a key of its own, so equal values have equal tokens and no nonce serves
two values; the column's name is authenticated, so a token is good for its column only.
"""
PSEUDONYM_FORM = re.compile(r"psn-[a-z2-7]{26}")
TOKEN_FORM = re.compile(r"tok-[a-z2-7]{71,}")

_FINEST_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Changed:
    """A column after its technique: row `i` shows `values[codes[i]]` and lost `loss[i]` of what its cell told, 0 to 1.

    A cell loses the share of the column's other values that it can no longer be told from.
    """

    values: Any
    codes: Codes
    loss: Floats

    @property
    def rows(self) -> Any:
        """The column as an Arrow array."""
        return self.values.take(pa.array(self.codes))


def carry_out(raw: Detected, techniques: Mapping[str, Technique], key: bytes) -> dict[str, Changed | None]:
    """Each named column after its technique, in the table's order; none for a suppressed one. `key` has 32 bytes.

    Recoded columns depend on one another and on what must hold, and are left to `product`. Raises PolicyRefused
    where a technique does not fit its column.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a product's key has {KEY_BYTES} bytes")
    made: dict[str, Changed | None] = {}
    together: dict[str, list[Column]] = {}
    for column in raw.columns:
        technique = techniques.get(column.name)
        match technique:
            case None | Recode():
                continue
            case Noise():
                made[column.name] = _noisy(column, technique, key)
            case ShiftDates():
                made[column.name] = _shifted(raw, column, technique, key)
            case Microaggregate(_, _, name) if name is not None:
                together.setdefault(name, []).append(column)
            case _:
                values = transform(column, technique, key)
                made[column.name] = (
                    None
                    if values is None
                    else Changed(
                        values, column.coded.codes, cell_loss(encode(values).codes)[column.coded.codes]
                    )
                )
    for columns in together.values():
        technique = techniques[columns[0].name]
        assert isinstance(technique, Microaggregate)
        made |= _microaggregated(columns, technique)
    return {column.name: made[column.name] for column in raw.columns if column.name in made}


def transform(column: Column, technique: Technique, key: bytes) -> Any:
    """What each of the column's distinct values becomes, as an Arrow array beside `column.coded.values`; NULL stays NULL.

    None for a suppressed column. Only for techniques that look at a value alone. Raises PolicyRefused where the
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
        case Clamp():
            return _clamped(column, technique)
        case Pseudonymize():
            return _each(values, pseudonymizer(key, column.name))
        case Tokenize():
            return _each(values, tokenizer(key, column.name))
        case Microaggregate(group, statistic, None):
            line = _line(column, "grouped with their like")
            counts = np.bincount(column.coded.codes, minlength=len(values))
            groups = grouped_values(line.places, counts, group)
            return line.back(aggregated(line.places, counts, groups, statistic))
        case Recode() | Noise() | ShiftDates() | Microaggregate():
            raise ValueError("a technique that looks at rows")
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
    started = hmac.HMAC(key, hashes.SM3())
    # The length first: no column name can run into a value.
    name = column.encode()
    started.update(len(name).to_bytes(4, "big") + name)

    def pseudonym(value: Any) -> str:
        mac = started.copy()
        mac.update(hierarchies.text(value).encode())
        return "psn-" + _base32(mac.finalize()[:16])

    return pseudonym


def tokenizer(key: bytes, column: str) -> Callable[[Any], str]:
    """The function from a value to its token under this key, in this column: see TOKEN_ALGORITHM. `detokenize` turns it back."""
    cipher = algorithms.SM4(_derived(key, "token", column))
    started = hmac.HMAC(_derived(key, "token nonce", column), hashes.SM3())

    def token(value: Any) -> str:
        plaintext = hierarchies.text(value).encode()
        mac = started.copy()
        mac.update(plaintext)
        nonce = mac.finalize()[:12]
        padder = padding.PKCS7(128).padder()
        encryptor = Cipher(cipher, modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(column.encode())
        hidden = encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()
        return "tok-" + _base32(nonce + hidden + encryptor.tag)

    return token


def detokenize(token: str, key: bytes, column: str) -> str:
    """The value that a token of this column stands for, as text: what the department can do and nobody else.

    Raises ValueError for what is no token of this column under this key, or is not whole.
    """
    if TOKEN_FORM.fullmatch(token) is None:
        raise ValueError("no token")
    bare = token.removeprefix("tok-").upper()
    try:
        data = base64.b32decode(bare + "=" * (-len(bare) % 8))
        nonce, hidden, tag = data[:12], data[12:-16], data[-16:]
        cipher = algorithms.SM4(_derived(key, "token", column))
        decryptor = Cipher(cipher, modes.GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(column.encode())
        padded = decryptor.update(hidden) + decryptor.finalize()
    except InvalidTag as error:
        raise ValueError("no token of this column under this key") from error
    unpadder = padding.PKCS7(128).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode()


def misfits(column: Column, technique: Technique) -> int:
    """How many distinct values of an arrived column the technique cannot have made."""
    match technique:
        case Keep():
            return 0
        case Suppress():
            return len(column.distinct)
        case Generalize(hierarchy, level):
            if level == 0:
                return 0
            return _not(column, lambda value: hierarchies.fits(hierarchy, level, str(value)))
        case Recode(hierarchy):
            return _not(column, lambda value: hierarchies.fits_some(hierarchy, str(value)))
        case Mask(keep_first, keep_last):
            return _not(
                column, lambda value: set(str(value)[keep_first : len(str(value)) - keep_last]) <= {"*"}
            )
        case Pseudonymize():
            return _not(column, lambda value: PSEUDONYM_FORM.fullmatch(str(value)) is not None)
        case Tokenize():
            return _not(column, lambda value: TOKEN_FORM.fullmatch(str(value)) is not None)
        case Round(step):
            return (
                _not(column, lambda value: _is_multiple(value, step)) if _is_number(column) else _all(column)
            )
        case Noise():
            return 0 if _is_number(column) else _all(column)
        case Clamp(low, high):
            if not _is_number(column):
                return _all(column)
            return _not(
                column,
                lambda value: (
                    (low is None or _exact(value) >= low) and (high is None or _exact(value) <= high)
                ),
            )
        case ShiftDates():
            return 0 if hierarchies.is_dated(column.distinct) else _all(column)
        case Microaggregate(group):
            if not _is_number(column) and not _is_time(column):
                return _all(column)
            rows = np.bincount(column.coded.codes, minlength=len(column.coded.values))
            here = pc.is_valid(column.coded.values).to_numpy(zero_copy_only=False)
            return int(np.count_nonzero(rows[here] < group))
        case _:
            assert_never(technique)


def _not(column: Column, fits: Callable[[Any], bool]) -> int:
    return sum(not fits(value) for value in column.distinct.to_pylist())


def _all(column: Column) -> int:
    return len(column.distinct)


def _each(values: Any, change: Callable[[Any], str]) -> Any:
    return pa.array([None if value is None else change(value) for value in values.to_pylist()], pa.string())


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _derived(key: bytes, use: str, column: str) -> bytes:
    """A key of 16 bytes for one use in one column."""
    # The length first: no use can run into a column's name.
    info = len(use).to_bytes(4, "big") + f"{use}{column}".encode()
    return HKDF(hashes.SM3(), 16, None, info).derive(key)


def _words(key: bytes, use: str, column: str, number: int) -> Any:
    """Unpredictable 64-bit words, the same for the same arguments."""
    encryptor = Cipher(algorithms.SM4(_derived(key, use, column)), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * number)) + encryptor.finalize(), ">u8")


def _chances(key: bytes, use: str, column: str, number: int) -> Floats:
    """The same as numbers between 0 and 1, both excluded, of 52 random bits."""
    chances: Floats = (_words(key, use, column, number) >> np.uint64(12)).astype(
        np.float64
    ) * 2.0**-52 + 2.0**-53
    return chances


def _is_number(column: Column) -> bool:
    kind = column.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_time(column: Column) -> bool:
    return bool(pa.types.is_date(column.type) or pa.types.is_timestamp(column.type))


def _exact(value: Any) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _is_multiple(value: Any, step: Decimal) -> bool:
    number = _exact(value)
    return number.is_finite() and number % step == 0


def _require_numbers(column: Column, done: str) -> None:
    if not _is_number(column):
        raise refused(
            column.name,
            f"only numbers are {done}, and the column holds {column.type}",
            "mask, generalize or suppress the column",
        )


def _rounded(column: Column, step: Decimal) -> Any:
    _require_numbers(column, "rounded")
    whole = pa.types.is_integer(column.type) and step == step.to_integral_value()
    rounded: list[int | float | None] = []
    for value in column.coded.values.to_pylist():
        exact = None if value is None else _exact(value)
        if exact is None or not exact.is_finite():
            rounded.append(None)
            continue
        nearest = (exact / step).to_integral_value(ROUND_HALF_EVEN) * step
        rounded.append(int(nearest) if whole else float(nearest))
    return pa.array(rounded, pa.int64() if whole else pa.float64())


def _clamped(column: Column, technique: Clamp) -> Any:
    _require_numbers(column, "coded at top and bottom")
    bounds = [bound for bound in (technique.low, technique.high) if bound is not None]
    whole = pa.types.is_integer(column.type) and all(bound == bound.to_integral_value() for bound in bounds)
    clamped: list[int | float | None] = []
    for value in column.coded.values.to_pylist():
        if value is None:
            clamped.append(None)
            continue
        exact = _exact(value)
        if technique.low is not None:
            exact = max(exact, technique.low)
        if technique.high is not None:
            exact = min(exact, technique.high)
        clamped.append(int(exact) if whole else float(exact))
    return pa.array(clamped, pa.int64() if whole else pa.float64())


@dataclass(frozen=True, slots=True)
class _Line:
    """Distinct values as places on a line, NaN for NULL, and the way back to values of the column's kind."""

    places: Floats
    back: Callable[[Floats], Any]


def _line(column: Column, done: str) -> _Line:
    values = column.coded.values
    if _is_number(column):
        places = values.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        places = np.where(np.isfinite(places), places, np.nan)
        decimals = _decimals(places)
        whole = bool(pa.types.is_integer(column.type))

        def number(made: Floats) -> Any:
            # Half to even, to the decimals that the column shows: a mean of digits that it never had tells more.
            rounded = np.rint(made) if whole else np.round(made, decimals)
            return pa.array(rounded, pa.float64(), from_pandas=True).cast(
                pa.int64() if whole else pa.float64()
            )

        return _Line(places, number)
    if _is_time(column):
        days = pa.types.is_date(column.type)
        unit = pa.int32() if days else pa.int64()
        kind = pa.date32() if days else column.type
        integers = (values.cast(pa.date32()) if days else values).cast(unit)
        places = integers.to_numpy(zero_copy_only=False).astype(np.float64)

        def moment(made: Floats) -> Any:
            return pa.array(np.rint(made), pa.float64(), from_pandas=True).cast(unit).cast(kind)

        return _Line(places, moment)
    raise refused(
        column.name,
        f"only numbers, dates and times are {done}, and the column holds {column.type}",
        "mask, generalize or suppress the column",
    )


def _decimals(places: Floats) -> int:
    """How many decimals the values show, six at most."""
    seen = places[np.isfinite(places)]
    return next(
        (number for number in range(_FINEST_DECIMALS) if np.array_equal(np.round(seen, number), seen)),
        _FINEST_DECIMALS,
    )


def _noisy(column: Column, technique: Noise, key: bytes) -> Changed:
    _require_numbers(column, "given noise")
    line = _line(column, "given noise")
    decimals = 0 if pa.types.is_integer(column.type) else _decimals(line.places)
    bound = float(technique.bound)
    step = 10.0**-decimals
    if bound < step:
        raise refused(
            column.name,
            f"noise of at most {plain(technique.bound)} is none in a column of {decimals} decimals",
            f"write a bound of {step:g} or more",
        )
    noise = np.rint(_noise(technique, key, column.name, column.rows) / step)
    most = np.floor(bound / step + 1e-9)
    noise = np.clip(noise, -most, most) * step
    shown = encode(line.back(line.places[column.coded.codes] + noise))
    return Changed(shown.values, shown.codes, _within(line.places, line.places, bound)[column.coded.codes])


def _noise(technique: Noise, key: bytes, column: str, rows: int) -> Floats:
    """Noise for each row, drawn from the distribution cut at the bound."""
    bound = float(technique.bound)
    scale = float(technique.scale or 1)
    chances = _chances(key, "noise", column, rows)
    match technique.distribution:
        case "uniform":
            return (2 * chances - 1) * bound
        case "laplace":
            # The inverse of the distribution function, over what lies within the bound.
            centred = (2 * chances - 1) * -np.expm1(-bound / scale)
            drawn: Floats = -scale * np.sign(centred) * np.log1p(-np.abs(centred))
            return drawn
        case "gaussian":
            found = np.full(rows, np.inf)
            turn = 0
            while (left := np.flatnonzero(np.abs(found) > bound)).size:
                # Box and Muller (1958), again for whatever falls beyond the bound.
                radius = np.sqrt(-2 * np.log(_chances(key, f"noise radius {turn}", column, rows)[left]))
                angle = 2 * np.pi * _chances(key, f"noise angle {turn}", column, rows)[left]
                found[left] = scale * radius * np.cos(angle)
                turn += 1
            return found
        case _:
            assert_never(technique.distribution)


def _within(places: Floats, seen: Floats, reach: float | Floats) -> Floats:
    """Share of the other distinct places that lie within reach of each that is seen; what has no place loses nothing."""
    line = np.unique(places[np.isfinite(places)])
    if len(line) <= 1:
        return np.zeros(len(seen))
    near = np.searchsorted(line, seen + reach, "right") - np.searchsorted(line, seen - reach, "left")
    return np.where(np.isfinite(seen), (near - 1) / (len(line) - 1), 0.0)


def _shifted(raw: Detected, column: Column, technique: ShiftDates, key: bytes) -> Changed:
    values = column.coded.values
    if not _is_time(column):
        if not hierarchies.is_dated(column.distinct):
            raise refused(
                column.name,
                f"only dates are shifted, and the column holds {column.type}",
                "mask, generalize or suppress the column",
            )
        values = pa.array(hierarchies.dates(values), pa.date32())
    days = pa.types.is_date(values.type)
    unit = pa.int32() if days else pa.int64()
    kind = pa.date32() if days else pa.timestamp("us")
    day = 1 if days else 24 * 60 * 60 * 1_000_000
    moments = values.cast(kind).cast(unit).cast(pa.int64())
    places = moments.to_numpy(zero_copy_only=False).astype(np.float64)
    span = 2 * technique.most_days + 1
    moves = np.floor(_chances(key, "shift", column.name, column.rows) * span)
    if technique.by is not None:
        by = next(other for other in raw.columns if other.name == technique.by)
        # Of the person alone, so that all dates of one person move alike, whatever column they stand in.
        started = hmac.HMAC(_derived(key, "shift by", by.name), hashes.SM3())
        of_person = []
        for value in by.coded.values.to_pylist():
            mac = started.copy()
            mac.update(hierarchies.text(value).encode())
            of_person.append(int.from_bytes(mac.finalize()[:16], "big") % span)
        known = pc.is_valid(by.coded.values).to_numpy(zero_copy_only=False)[by.coded.codes]
        moves = np.where(known, np.array(of_person, dtype=np.float64)[by.coded.codes], moves)
    moved = (moves.astype(np.int64) - technique.most_days) * day
    there = moments.take(pa.array(column.coded.codes))
    shown = encode(pc.add(there, pa.array(moved)).cast(unit).cast(kind))
    loss = _within(places, places, float(technique.most_days * day))
    return Changed(shown.values, shown.codes, loss[column.coded.codes])


def _microaggregated(columns: list[Column], technique: Microaggregate) -> dict[str, Changed | None]:
    lines = [_line(column, "grouped with their like") for column in columns]
    rows = np.stack(
        [line.places[column.coded.codes] for line, column in zip(lines, columns, strict=True)], axis=1
    )
    groups = grouped(rows, technique.group)
    ones = np.ones(len(rows), dtype=np.int64)
    made: dict[str, Changed | None] = {}
    for place, (line, column) in enumerate(zip(lines, columns, strict=True)):
        shown = encode(line.back(aggregated(rows[:, place], ones, groups, technique.statistic)))
        low, high = _ends(rows[:, place], groups)
        loss = _within(line.places, (low + high) / 2, (high - low) / 2)
        made[column.name] = Changed(shown.values, shown.codes, np.where(groups < 0, 1.0, loss))
    return made


def _ends(places: Floats, groups: Codes) -> tuple[Floats, Floats]:
    """The least and the largest place in the group of each row; its own where it has no group."""
    number = int(groups.max(initial=-1)) + 1
    low, high = np.full(number, np.inf), np.full(number, -np.inf)
    inside = groups >= 0
    np.minimum.at(low, groups[inside], places[inside])
    np.maximum.at(high, groups[inside], places[inside])
    return np.where(inside, low[groups], places), np.where(inside, high[groups], places)
