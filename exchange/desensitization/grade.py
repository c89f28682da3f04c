"""The grade of data (GB/T 43697-2024) and its opening attribute; both fail closed.

The truth table is data: the object harmed times the degree of the harm, the highest wins. What the data
itself shows adds its own harm to what a named assessor declares, so a grade can be raised by measuring
and never lowered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

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

SOURCE = "GB/T 43697-2024, clause 6"

TRUTH_TABLE: Mapping[tuple[Harmed, Degree], Grade] = {
    ("national_security", "severe"): "core",
    ("national_security", "serious"): "core",
    ("national_security", "ordinary"): "important",
    ("economy", "severe"): "core",
    ("economy", "serious"): "important",
    ("economy", "ordinary"): "general",
    ("social_order", "severe"): "core",
    ("social_order", "serious"): "important",
    ("social_order", "ordinary"): "general",
    ("public_interest", "severe"): "core",
    ("public_interest", "serious"): "important",
    ("public_interest", "ordinary"): "general",
    ("organisation_rights", "severe"): "general",
    ("organisation_rights", "serious"): "general",
    ("organisation_rights", "ordinary"): "general",
    ("personal_rights", "severe"): "general",
    ("personal_rights", "serious"): "general",
    ("personal_rights", "ordinary"): "general",
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


MANY_PERSONS = 10_000_000
"""网络数据安全管理条例 (国令第790号), art. 28: from ten million persons on, the duties of important data apply."""

MANY_PERSONS_SOURCE = "网络数据安全管理条例, art. 28"


def measured_impacts(*, rows: int, about_persons: bool) -> tuple[Impact, ...]:
    """The impacts that the table itself shows, whatever is declared. `rows` stands for persons: the cautious count."""
    if not about_persons:
        return (Impact("public_interest", "ordinary", "no person column"),)
    if rows >= MANY_PERSONS:
        return (Impact("public_interest", "serious", MANY_PERSONS_SOURCE),)
    return (Impact("personal_rights", "serious", "personal information"),)


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
