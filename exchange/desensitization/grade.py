"""The grade of data (GB/T 43697-2024) and its opening attribute; both fail closed.

The rules are data (grading.toml), each with its source: the object harmed times the degree of the harm, the
highest wins. What the data itself shows adds its own harm to what a named assessor declares, so a grade can
be raised by measuring and never lowered.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, cast, get_args

Grade = Literal["general", "important", "core"]
Harmed = Literal[
    "national_security",
    "economy",
    "social_order",
    "public_interest",
    "organisation_rights",
    "personal_rights",
]
Degree = Literal["ordinary", "serious", "severe"]
Opening = Literal["open", "conditional", "closed"]

GRADES: tuple[Grade, ...] = ("general", "important", "core")
"""From the lowest to the highest."""

_RULES: Mapping[str, Any] = tomllib.loads(
    resources.files("exchange.desensitization").joinpath("grading.toml").read_text(encoding="utf-8")
)
VERSION: str = _RULES["version"]
"""Of the rules; it stands in every report."""
SOURCE: str = _RULES["truth_table"]["source"]
TRUTH_TABLE: Mapping[tuple[Harmed, Degree], Grade] = {
    (harmed, degree): GRADES[GRADES.index(_RULES["truth_table"][harmed][degree])]
    for harmed, degree in itertools.product(get_args(Harmed), get_args(Degree))
}


@dataclass(frozen=True, slots=True)
class Impact:
    """Whom a leak, change or loss of the data would harm, and how badly."""

    harmed: Harmed
    degree: Degree
    reason: str


def rank(grade: Grade) -> int:
    """0 for general, 2 for core."""
    return GRADES.index(grade)


def grade(impacts: Iterable[Impact]) -> Grade:
    """The highest grade of any impact (就高从严). With no impact stated it is core: nothing is known."""
    grades = [TRUTH_TABLE[impact.harmed, impact.degree] for impact in impacts]
    return max(grades, key=rank) if grades else "core"


MANY_PERSONS: int = _RULES["many_persons"]["value"]
"""网络数据安全管理条例 (国令第790号), art. 28: from ten million persons on, the duties of important data apply."""

MANY_PERSONS_SOURCE = f"{_RULES['many_persons']['source']}, {_RULES['many_persons']['clause']}"


def measured_impacts(*, rows: int, about_persons: bool, marked: bool = False) -> tuple[Impact, ...]:
    """The impacts that the table itself shows, whatever is declared. `rows` stands for persons: the cautious count.

    A table that is `marked` as a state secret harms national security seriously: it is core, and never listed.
    """
    secret = (Impact("national_security", "serious", "marked as a state secret"),) if marked else ()
    if not about_persons:
        return (*secret, Impact("public_interest", "ordinary", "no person column"))
    if rows >= MANY_PERSONS:
        return (*secret, Impact("public_interest", "serious", MANY_PERSONS_SOURCE))
    return (*secret, Impact("personal_rights", "serious", "personal information"))


def derive(parents: Sequence[Grade | None], own: Iterable[Impact]) -> Grade:
    """The grade of what was made from graded data: graded anew from its own impacts, and never below its highest parent.

    A join can be worth more than its parts, so its own impacts have to be stated: without any, or with a
    parent whose grade is not known, it is core. Raises ValueError without parents.
    """
    if not parents:
        raise ValueError("derived data has parents")
    return max((grade(own), *("core" if parent is None else parent for parent in parents)), key=rank)


Factor = Literal["domain", "group", "region", "precision", "scale", "depth", "coverage", "importance"]


def factors(found: Mapping[Factor, tuple[str, str]]) -> list[dict[str, str]]:
    """The eight factors in the standard's order, with what is known of each in Chinese and in English.

    An empty one is left to the assessor.
    """
    return [
        {
            "factor": factor,
            "zh": _RULES["factors"][factor]["zh"],
            "by": _RULES["factors"][factor]["by"],
            "found": found.get(factor, ("", ""))[1],
            "found_zh": found.get(factor, ("", ""))[0],
        }
        for factor in get_args(Factor)
    ]


Secret = Literal["state_secret", "trade_secret"]


@dataclass(frozen=True, slots=True)
class Sign:
    """What points to a secret, in a header or in a cell. A `certain` one decides; another asks the assessor."""

    secret: Secret
    certain: bool
    zh: str
    en: str
    pattern: str
    source: str


SIGNS: tuple[Sign, ...] = tuple(
    Sign(
        cast(Secret, sign["secret"]), sign["certain"], sign["zh"], sign["en"], sign["pattern"], sign["source"]
    )
    for sign in _RULES["signs"]
)


@dataclass(frozen=True, slots=True)
class Screened:
    """A sign that a column shows: in its header where `values` is none, else in so many of its distinct values."""

    column: str
    sign: Sign
    values: int

    def to_json(self) -> dict[str, Any]:
        """For the report: what the assessor has to answer to."""
        return {
            "column": self.column,
            "secret": self.sign.secret,
            "certain": self.sign.certain,
            "sign": self.sign.en,
            "sign_zh": self.sign.zh,
            "values": str(self.values),
            "source": self.sign.source,
        }


def screened_header(header: str) -> tuple[Screened, ...]:
    """The signs in a column's name."""
    return tuple(Screened(header, sign, 0) for sign in SIGNS if re.search(sign.pattern, header))


@dataclass(frozen=True, slots=True)
class Declared:
    """What only a named assessor can say. `None` means not answered."""

    state_secret: bool | None
    trade_secret: bool | None
    privacy_consented: bool | None


def opening(graded: Grade | None, declared: Declared, *, about_persons: bool) -> Opening:
    """The widest opening attribute that the grade and the declarations allow; anything unanswered closes.

    Sources: 政府信息公开条例 arts. 14-15 (state secrets, trade secrets, privacy), GB/T 43697-2024 (core and
    important data).
    """
    if graded is None or graded == "core":
        return "closed"
    if declared.state_secret is not False or declared.trade_secret is not False:
        return "closed"
    if about_persons and declared.privacy_consented is None:
        # Desensitized data needs no consent (个人信息保护法 art. 4), but somebody has to have looked.
        return "closed"
    if about_persons or graded == "important":
        return "conditional"
    return "open"
