"""Look at every column once and say what it is: by its values, by its header, or by both.

A header alone never makes a direct identifier out of values that cannot be one (a masked telephone number
is none), except where the header names the person's own number; it does make a quasi-identifier, since
being wrong there costs some detail and not a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.detection import recognizers as known
from exchange.desensitization.detection.findings import KINDS, By, Finding, Role
from exchange.desensitization.detection.lexicon import (
    BELIEF_WORDS,
    EDUCATION_WORDS,
    ETHNIC_WORDS,
    FLAG_WORDS,
    HEALTH_WORDS,
    KINSHIP_WORDS,
    MARITAL_WORDS,
    SEX_WORDS,
    hinted,
)
from exchange.desensitization.detection.recognizers import Trial
from exchange.desensitization.errors import TableTooLarge
from exchange.desensitization.reading.source import Progress
from exchange.desensitization.search.classes import Coded, encode

_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column ready to be looked at: its distinct values, and those as texts where a text could be in them."""

    name: str
    type: Any
    rows: int
    nulls: int
    coded: Coded
    distinct: Any
    texts: Any
    hints: frozenset[str]


@dataclass(frozen=True, slots=True)
class Detected:
    """All findings of a table. `about_persons` decides which kinds count."""

    columns: tuple[Column, ...]
    findings: tuple[Finding, ...]
    about_persons: bool

    def finding(self, column: str) -> Finding | None:
        """The finding of that column, or none."""
        return next((finding for finding in self.findings if finding.column == column), None)


def detect(table: Any, *, about_persons: bool = False, progress: Progress | None = None) -> Detected:
    """Every column's finding; those that only matter beside a person count if the table shows or is said to have one.

    The table is an Arrow table or a `Spool`; of either, one column at a time is held.
    """
    columns, found = [], []
    for place, name in enumerate(table.column_names):
        column = _column(name, table.column(name))
        columns.append(column)
        found.append(_recognise(column))
        if progress is not None:
            progress(place + 1, table.num_columns)
    persons = about_persons or any(finding.says_person for finding in found if finding is not None)
    return Detected(
        columns=tuple(columns),
        findings=tuple(
            finding
            for finding in found
            if finding is not None and (persons or KINDS[finding.kind].personal != "in_person_table")
        ),
        about_persons=persons,
    )


def roles(detected: Detected, declared: Mapping[str, Role]) -> dict[str, Role]:
    """The role of each column, declared and detected together: a declaration adds, and replaces only what is presumed."""
    merged: dict[str, Role] = {}
    for column in detected.columns:
        finding = detected.finding(column.name)
        says = declared.get(column.name)
        if finding is None or finding.role == "other":
            merged[column.name] = says or "other"
        elif says is None or (not KINDS[finding.kind].presumed and _strength(finding.role) > _strength(says)):
            merged[column.name] = finding.role
        else:
            merged[column.name] = says
    return merged


def _strength(role: Role) -> int:
    order: Sequence[Role] = ("other", "sensitive", "quasi_identifier", "direct_identifier")
    return order.index(role)


def _column(name: str, values: Any) -> Column:
    coded = encode(values) if values.nbytes <= _ONE_BUFFER else _encode_in_pieces(values)
    distinct = pc.drop_null(coded.values)
    return Column(
        name=name,
        type=values.type,
        rows=len(values),
        nulls=values.null_count,
        coded=coded,
        distinct=distinct,
        texts=_texts(distinct),
        hints=hinted(name),
    )


_ONE_BUFFER = 2**31 - 1
"""More bytes of text than this have no room in one Arrow array."""


def _encode_in_pieces(values: Any) -> Coded:
    """`encode` for a column that is too long for one array; its distinct values still have to fit into one."""
    if not pa.types.is_string(values.type):
        return encode(values)
    try:
        pieces = values.dictionary_encode("encode").chunks
    except pa.ArrowException as error:
        raise TableTooLarge(
            "a column has more than 2 GiB of different texts",
            rule="the distinct texts of a column fit into 2 GiB",
            remedy="split the table, or leave the column out",
        ) from error
    # Every piece carries the dictionary of all.
    codes = np.concatenate([piece.indices.to_numpy(zero_copy_only=False) for piece in pieces])
    return Coded(codes.astype(np.int64), pieces[-1].dictionary)


def _texts(distinct: Any) -> Any:
    """Distinct values as texts: whole floats lose their `.0`, since a column of numbers with gaps is read as floats."""
    if pa.types.is_floating(distinct.type):
        if len(distinct) == 0 or not pc.all(pc.equal(pc.trunc(distinct), distinct)).as_py():
            return pa.array([], pa.string())
        if (pc.max(pc.abs(distinct)).as_py() or 0) >= 2**53:
            return pa.array([], pa.string())
        return distinct.cast(pa.int64()).cast(pa.string())
    if pa.types.is_string(distinct.type):
        trimmed = pc.utf8_trim_whitespace(distinct)
        # Most columns need no trimming, and keep one copy of their texts.
        return distinct if trimmed.nbytes == distinct.nbytes else trimmed
    if pa.types.is_integer(distinct.type):
        return distinct.cast(pa.string())
    if pa.types.is_decimal(distinct.type) and distinct.type.scale == 0:
        return distinct.cast(pa.string())
    return pa.array([], pa.string())


_GLANCE = 100_000
"""Distinct values, evenly spread over all, that tell the share of a form to a third of a percent."""


def _recognise(column: Column) -> Finding | None:
    """The first kind that fits, the gravest first.

    Numbers with a checksum, telephone numbers and identifiers inside texts are looked for in every value; how
    large a part of a column has a form is seen from 100,000 of its distinct values.
    """
    if len(column.distinct) == 0 or (column.texts.to_pylist() == ["*"] if len(column.texts) == 1 else False):
        return None
    glance = replace(column, texts=known.evenly(column.texts, _GLANCE))
    for test in _TESTS:
        finding = test(column if test in _OF_ALL else glance)
        if finding is not None:
            return finding
    return None


def _found(column: Column, kind: str, by: By, tested: Trial | None = None) -> Finding:
    sample = known.evenly(column.texts if len(column.texts) else column.distinct, _SAMPLES)
    return Finding(
        column=column.name,
        kind=kind,
        role=KINDS[kind].role,
        by=by,
        checked=tested.checked if tested else len(column.distinct),
        matched=tested.matched if tested else len(column.distinct),
        chance_ppm=tested.chance_ppm if tested else None,
        p_exponent=tested.p_exponent if tested else None,
        samples=tuple(dict.fromkeys(known.form(str(value)) for value in sample.to_pylist())),
    )


def _biometric(column: Column) -> Finding | None:
    return _found(column, "biometric", "name") if "biometric" in column.hints else None


def _pseudonym(column: Column) -> Finding | None:
    tested = known.matching(column.texts, known.PSEUDONYM)
    return _found(column, "pseudonym", "values", tested) if tested.values and tested.share == 1 else None


def _checked_numbers(column: Column) -> Finding | None:
    """Numbers with a checksum: above chance, or of the form under a header that names them."""
    for kind, test in (
        ("resident_id", known.resident_id),
        ("bank_card", known.bank_card),
        ("social_credit_code", known.social_credit_code),
    ):
        tested = test(column.texts)
        if tested.beyond_chance:
            return _found(column, kind, "name and values" if kind in column.hints else "values", tested)
        if kind in column.hints and tested.checked and 2 * tested.checked >= tested.values:
            return _found(column, kind, "name and values", tested)
    # The numbers of before 1999 have 15 digits and no check character.
    first = known.matching(column.texts, known.RESIDENT_ID_OF_1984)
    if "resident_id" in column.hints and first.share >= 0.3:
        return _found(column, "resident_id", "name and values", first)
    return None


def _mobile(column: Column) -> Finding | None:
    tested, segments = known.mobile(column.texts)
    if "mobile" in column.hints and tested.matched and tested.share >= 0.3:
        return _found(column, "mobile", "name and values", tested)
    # One operator's segment alone is a series of numbers; telephone numbers come from many.
    if tested.beyond_chance and tested.rate >= 0.9 and tested.share >= 0.3 and segments >= 4:
        return _found(column, "mobile", "values", tested)
    return None


def _formed(
    kind: str, pattern: str, *, alone: float | None, under_header: float
) -> Callable[[Column], Finding | None]:
    """A test by form: the share of distinct values that suffices alone, and under a header that names the kind."""

    def test(column: Column) -> Finding | None:
        tested = known.matching(column.texts, pattern)
        if kind in column.hints and tested.matched and tested.share >= under_header:
            return _found(column, kind, "name and values", tested)
        if alone is not None and tested.matched and tested.share >= alone:
            return _found(column, kind, "values", tested)
        return None

    return test


def _ip_address(column: Column) -> Finding | None:
    four = known.matching(column.texts, known.IPV4)
    six = known.matching(column.texts, known.IPV6)
    tested = Trial(four.values, four.checked, four.matched + six.matched)
    if not tested.matched:
        return None
    if "ip_address" in column.hints and tested.share >= 0.3:
        return _found(column, "ip_address", "name and values", tested)
    # Version numbers have four parts too, but small ones.
    unlike = known.matching(column.texts, known.IPV4_UNLIKE_A_VERSION)
    if tested.share >= 0.8 and unlike.matched + six.matched >= 0.3 * tested.matched:
        return _found(column, "ip_address", "values", tested)
    return None


def _embedded(column: Column) -> Finding | None:
    if not pa.types.is_string(column.type):
        return None
    tested = known.embedded_identifier(column.texts)
    return _found(column, "embedded_identifier", "values", tested) if tested.matched else None


def _person_name(column: Column) -> Finding | None:
    if not pa.types.is_string(column.type):
        return None
    for tested, shaped in (
        (known.chinese_name(column.texts), 0.75),
        (known.english_name(column.texts), 0.5),
    ):
        if tested.share >= shaped and tested.beyond_chance:
            return _found(column, "person_name", "values", tested)
        if (
            "some_name" in column.hints
            and tested.share >= 0.3
            and (tested.beyond_chance or tested.values < 20)
        ):
            return _found(column, "person_name", "name and values", tested)
        if "person_name" in column.hints and tested.share >= 0.1:
            return _found(column, "person_name", "name and values", tested)
    if "person_name" in column.hints:
        letters = known.matching(column.texts, r"^[\p{L}][\p{L} .'’·-]{0,60}$")
        if letters.share >= 0.8:
            return _found(column, "person_name", "name and values", letters)
    return None


def _numbered(kind: str) -> Callable[[Column], Finding | None]:
    """A person's own number has no form that could be tested: the header decides."""

    def test(column: Column) -> Finding | None:
        if kind in column.hints and len(column.texts):
            masked = known.matching(column.texts, r"\*{3,}|^\[|\)$")
            return None if masked.share > 0.5 else _found(column, kind, "name")
        return None

    return test


def _device(column: Column) -> Finding | None:
    tested = known.device(column.texts)
    if tested.beyond_chance and 2 * tested.matched >= tested.checked and tested.share >= 0.3:
        return _found(column, "device", "name and values" if "device" in column.hints else "values", tested)
    if "device" in column.hints and known.matching(column.texts, r"^[0-9A-Za-z-]{8,40}$").share >= 0.8:
        return _found(column, "device", "name")
    return None


def _landline(column: Column) -> Finding | None:
    tested = known.matching(column.texts, known.LANDLINE)
    if tested.share >= 0.5:
        return _found(column, "landline", "values", tested)
    bare = known.matching(column.texts, known.LANDLINE_BARE)
    if "mobile" in column.hints and tested.share + bare.share >= 0.3:
        return _found(column, "landline", "name and values", bare)
    return None


def _address(column: Column) -> Finding | None:
    if not pa.types.is_string(column.type):
        return None
    tested = known.matching(column.texts, known.ADDRESS)
    if "home_address" in column.hints and tested.share >= 0.1:
        return _found(column, "home_address", "name and values", tested)
    if "address" in column.hints and tested.share >= 0.1:
        return _found(column, "address", "name and values", tested)
    return _found(column, "address", "values", tested) if tested.share >= 0.5 else None


def _birth_date(column: Column) -> Finding | None:
    return _found(column, "birth_date", "name") if "birth_date" in column.hints else None


def _age(column: Column) -> Finding | None:
    if "age" not in column.hints:
        return None
    if pa.types.is_string(column.type):
        tested = known.matching(column.texts, known.INTERVAL + r"|^[0-9]{1,3}岁?$")
        return _found(column, "age", "name and values", tested) if tested.share >= 0.5 else None
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        likely = pc.and_(pc.greater_equal(column.distinct, 0), pc.less_equal(column.distinct, 150))
        tested = Trial(len(likely), len(likely), int(pc.sum(likely).as_py()))
        # Real tables hold a few impossible ages.
        return _found(column, "age", "name and values", tested) if tested.share >= 0.8 else None
    return None


def _sex(column: Column) -> Finding | None:
    words = {str(value).lower() for value in column.texts.to_pylist()} if len(column.texts) <= 8 else {""}
    if (
        words <= set(SEX_WORDS)
        and (words & {"male", "man", "男", "男性"})
        and (words & {"female", "woman", "女", "女性"})
    ):
        return _found(column, "sex", "values")
    return _found(column, "sex", "name") if "sex" in column.hints and len(column.distinct) <= 12 else None


def _headed(*kinds: str) -> Callable[[Column], Finding | None]:
    """Kinds whose values have no form: the header decides."""

    def test(column: Column) -> Finding | None:
        return next((_found(column, kind, "name") for kind in kinds if kind in column.hints), None)

    return test


def _worded(
    kind: str, words: frozenset[str], *, ending: str = "", most: int = 80
) -> Callable[[Column], Finding | None]:
    """Kinds whose values are few and known: at least three of them, nearly all in the list, or a header and few values."""

    def test(column: Column) -> Finding | None:
        if len(column.texts) == 0 or len(column.texts) > most:
            return None
        if pa.types.is_integer(column.type) and pc.max(column.distinct).as_py() > 99:
            return None  # a count, and no code of a list
        values = [value.lower().removesuffix(ending) for value in column.texts.to_pylist()]
        hits = sum(value in words for value in values)
        tested = Trial(len(values), len(values), hits)
        if kind in column.hints:
            return _found(column, kind, "name and values", tested) if hits else _found(column, kind, "name")
        return _found(column, kind, "values", tested) if hits >= 3 and tested.share >= 0.8 else None

    return test


def _postal_code(column: Column) -> Finding | None:
    tested = known.matching(
        column.texts, r"^[0-9]{1,6}\**$|^[0-9]{5}-[0-9]{4}$|^[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}$"
    )
    if "postal_code" in column.hints and tested.share >= 0.3:
        return _found(column, "postal_code", "name and values", tested)
    return None


def _region(column: Column) -> Finding | None:
    tested = known.matching(column.texts, known.REGION)
    if tested.share >= 0.6:
        return _found(column, "region", "values", tested)
    return _found(column, "region", "name") if "region" in column.hints else None


def _coordinates(column: Column) -> Finding | None:
    pairs = known.matching(column.texts, known.COORDINATE_PAIR)
    if pairs.share >= 0.5:
        return _found(column, "coordinates", "values", pairs)
    if "coordinates" not in column.hints:
        return None
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        widest = float(pc.max(pc.abs(column.distinct)).as_py())
        return _found(column, "coordinates", "name and values") if widest <= 180 else None
    intervals = known.matching(column.texts, known.INTERVAL)
    return _found(column, "coordinates", "name and values", intervals) if intervals.share >= 0.5 else None


def _date(column: Column) -> Finding | None:
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return _found(column, "date", "values")
    tested = known.matching(column.texts, known.DATE)
    if tested.share >= 0.9:
        if "date" in column.hints:
            return _found(column, "date", "name and values", tested)
        # Four digits alone are any number.
        if known.matching(column.texts, known.DATE_BEYOND_YEAR).share >= 0.5:
            return _found(column, "date", "values", tested)
    compact = known.matching(column.texts, known.COMPACT_DATE)
    if "date" in column.hints and compact.share >= 0.9:
        return _found(column, "date", "name and values", compact)
    return None


def _health(column: Column) -> Finding | None:
    if pa.types.is_string(column.type):
        words = {value.lower().replace(" ", "_") for value in known.evenly(column.texts, 200).to_pylist()}
        hits = len(words & HEALTH_WORDS)
        if hits >= 2 and 2 * hits >= len(words):
            return _found(column, "health", "values", Trial(len(words), len(words), hits))
    return _found(column, "health", "name") if "health" in column.hints else None


def _free_text(column: Column) -> Finding | None:
    if not pa.types.is_string(column.type):
        return None
    # Ten Han characters say as much as thirty letters, and take as many bytes.
    length = pc.mean(pc.binary_length(column.texts)).as_py()
    if (
        length >= 30
        and 2 * len(column.distinct) >= column.rows - column.nulls
        and known.matching(column.texts, r"[ ,。，；！？]").share >= 0.5
    ):
        return _found(column, "free_text", "values")
    return None


def _row_identifier(column: Column) -> Finding | None:
    if column.nulls or len(column.distinct) != column.rows or column.rows < 2:
        return None
    by_header = "row_identifier" in column.hints
    if pa.types.is_string(column.type):
        compact = known.matching(column.texts, r"^[^\s*，。；！？、]{1,64}$")
        if (by_header or column.rows >= 20) and compact.share == 1:
            return _found(column, "row_identifier", "name and values" if by_header else "values")
    elif pa.types.is_integer(column.type):
        low, high = pc.min(column.distinct).as_py(), pc.max(column.distinct).as_py()
        if by_header or (column.rows >= 20 and high - low + 1 == column.rows):
            return _found(column, "row_identifier", "name and values" if by_header else "values")
    return None


def _category(column: Column) -> Finding | None:
    if not pa.types.is_string(column.type):
        return None
    if len(column.texts) <= 2 and {value.lower() for value in column.texts.to_pylist()} <= FLAG_WORDS:
        return None
    return _found(column, "category", "values")


_TESTS: tuple[Callable[[Column], Finding | None], ...] = (
    _biometric,
    _pseudonym,
    _checked_numbers,
    _mobile,
    _formed("email", known.EMAIL, alone=0.3, under_header=0.1),
    _formed("plate", known.PLATE, alone=0.5, under_header=0.2),
    _formed("passport", known.PASSPORT, alone=None, under_header=0.3),
    _ip_address,
    _device,
    _formed("mac_address", known.MAC, alone=0.5, under_header=0.2),
    _person_name,
    _embedded,
    _numbered("person_identifier"),
    _numbered("household"),
    _landline,
    _address,
    _birth_date,
    _age,
    _sex,
    _worded("ethnicity", ETHNIC_WORDS, ending="族"),
    _worded("marital_status", MARITAL_WORDS),
    _worded("family", KINSHIP_WORDS),
    _worded("belief", BELIEF_WORDS),
    _worded("education", EDUCATION_WORDS),
    _postal_code,
    _coordinates,
    _date,
    _health,
    _headed("income", "occupation"),
    _region,
    _row_identifier,
    _free_text,
    _category,
)
"""The gravest reading first; the first that fits is the column's."""

_OF_ALL = (_checked_numbers, _mobile, _device, _embedded)
