"""The words under which public data is brought together: its kinds, its themes, and what an asset's card says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PublicDataKind:
    """One of the six kinds of public data, with the letters that stand for it in a registration code."""

    zh: str
    en: str
    letters: str


KINDS: Final[Mapping[str, PublicDataKind]] = {
    "enterprise_registration": PublicDataKind("企业登记", "enterprise registration", "ER"),
    "health": PublicDataKind("卫生健康", "health", "HE"),
    "transport": PublicDataKind("交通运输", "transport", "TR"),
    "city": PublicDataKind("城市管理", "city management", "CI"),
    "education": PublicDataKind("教育", "education", "ED"),
    "meteorology": PublicDataKind("气象", "meteorology", "ME"),
}
"""Source: 廖福崇 (2022), the six kinds of public data that open first."""


@dataclass(frozen=True, slots=True)
class Theme:
    """A theme under which released data is brought together."""

    zh: str
    en: str
    base_library: bool


THEMES: Final[Mapping[str, Theme]] = {
    "population": Theme("人口", "population", True),
    "legal_entities": Theme("法人", "legal entities", True),
    "natural_resources": Theme("自然资源和空间地理", "natural resources and geography", True),
    "economic_governance": Theme("经济治理", "economic governance", True),
    "business_credit": Theme("企业信用", "business credit", False),
    "medical_care": Theme("医疗卫生", "medical care", False),
    "travel": Theme("交通出行", "travel", False),
    "city_life": Theme("城市生活", "city life", False),
    "learning": Theme("教育文化", "learning and culture", False),
    "weather": Theme("气象环境", "weather and environment", False),
}
"""The four base libraries that the paper names, and one theme for each of the six kinds."""

BASE_LIBRARIES: Final = tuple(name for name, theme in THEMES.items() if theme.base_library)


def names_of(*terms: str | None) -> tuple[str, ...]:
    """What kinds and themes are called in both languages; nothing for a term that is none."""
    known = [found for term in terms if term for found in (KINDS.get(term), THEMES.get(term)) if found]
    return tuple(name for term in known for name in (term.zh, term.en))
