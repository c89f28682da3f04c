"""What the console says in each language: texts from the catalogues, numbers, money and times by locale."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, get_args

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_decimal
from babel.units import format_unit
from markupsafe import Markup

from exchange.rulebook.book import OWN, Rule

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

MARKET_ZONE: Final = timezone(timedelta(hours=8), "UTC+8")
"""The zone of times on a page that runs no script; scripts show the reader's own."""

_LOCALES: Final[Mapping[Language, Locale]] = {"zh": Locale.parse("zh_CN"), "en": Locale.parse("en")}
_SPANS: Final = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
)


@dataclass(frozen=True, slots=True)
class Words:
    """One language. Texts are named `section.name`; an unknown name is a defect and raises KeyError."""

    language: Language
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text, its `{places}` filled."""
        return self.texts[key].format(**values) if values else self.texts[key]

    def named(self, family: str, value: str) -> str:
        """The word for a value of the market's (a kind, a state, a reason); the value itself where it has none."""
        return self.texts.get(f"{family}.{value}", value)

    def rule(self, rule: Rule) -> str:
        """What a rule says, with its figure; its name where it is a market's own and has no sentence here."""
        sentence = self.texts.get(f"rule.{rule.name}")
        return rule.name if sentence is None else sentence.format(value=self.rule_value(rule))

    def rule_value(self, rule: Rule) -> str:
        """The figure, permission or list of a rule, in the unit that ends the rule's name."""
        value = rule.value
        if isinstance(value, bool):
            return self.named("rule_word", str(value).lower())
        if isinstance(value, str):
            return self.named("rule_word", value)
        if isinstance(value, tuple):
            comma = "、" if self.language == "zh" else ", "
            return comma.join(self.named("rule_word", word) for word in value)
        if rule.name.endswith("_us"):
            return self.span(value)
        if rule.name.endswith("_ppm"):
            return f"{self.decimal(value * 100)} %"
        return self.yuan(value) if rule.name.endswith("_fen") else self.number(value)

    def clause(self, rule: Rule) -> str:
        """Where a rule stands, in the words of its source; that it is the venue's own is said in the reader's."""
        return rule.cite().replace(OWN, self("rules.own"))

    def cited(self, rules: Iterable[Rule]) -> Markup:
        """The clauses on which something stands, each once: a link to the rule's page that tells what the rule says."""
        clauses: dict[str, list[Rule]] = {}
        for rule in rules:
            clauses.setdefault(self.clause(rule), []).append(rule)
        return Markup("; ").join(
            Markup('<a class="rule" href="/{}/rules#{}" title="{}">{}</a>').format(
                self.language,
                found[0].name,
                ("；" if self.language == "zh" else "; ").join(map(self.rule, found)),
                clause,
            )
            for clause, found in clauses.items()
        )

    def sections(self, names: Iterable[str]) -> dict[str, str]:
        """All texts of some sections, for a page's scripts."""
        wanted = tuple(f"{name}." for name in names)
        return {key: text for key, text in self.texts.items() if key.startswith(wanted)}

    @property
    def tag(self) -> str:
        """The BCP 47 tag of the page."""
        return "zh-CN" if self.language == "zh" else "en"

    def money(self, fen: int | str) -> str:
        """Fen as grouped yuan with two decimals, exact at any size, without the sign ¥, which a template sets apart."""
        said = format_decimal(Decimal(abs(int(fen))).scaleb(-2), "#,##0.00", locale=_LOCALES[self.language])
        return f"{minus(fen)}{said}"

    def yuan(self, fen: int | str) -> str:
        """The same with its sign, behind the minus of a negative sum: −¥8,000,000.00."""
        return f"{minus(fen)}¥{self.money(abs(int(fen)))}"

    def number(self, value: int | str) -> str:
        """A whole number, grouped."""
        return format_decimal(int(value), locale=_LOCALES[self.language])

    def share(self, ppm: int | str) -> str:
        """Parts per million as a percentage, to a hundredth of a percent."""
        return format_decimal(Decimal(int(ppm)).scaleb(-4), "#,##0.##", locale=_LOCALES[self.language]) + " %"

    def decimal(self, millionths: int | str, *, places: int = 0) -> str:
        """Millionths grouped, with at least so many of six decimals and no more than say it exactly: micro-yuan as yuan,
        bytes as megabytes.
        """
        pattern = f"#,##0.{'0' * places}{'#' * (6 - places)}"
        return format_decimal(Decimal(int(millionths)).scaleb(-6), pattern, locale=_LOCALES[self.language])

    def instant(self, us: int | str) -> str:
        """Microseconds of the market's clock as date and time to the second, with the zone it is told in."""
        at = datetime.fromtimestamp(int(us) // 1_000_000, MARKET_ZONE)
        pattern = "y年M月d日 HH:mm:ss" if self.language == "zh" else "MMM d, y, HH:mm:ss"
        return f"{format_datetime(at, pattern, locale=_LOCALES[self.language])} {MARKET_ZONE}"

    def span(self, us: int | str) -> str:
        """A length of time in the largest unit that says it exactly."""
        rest = int(us)
        unit, size = next(((u, s) for u, s in _SPANS if rest and rest % s == 0), _SPANS[-1])
        # Babel's long Chinese forms of units are missing; the short ones are the usual words.
        length: Literal["short", "long"] = "short" if self.language == "zh" else "long"
        return format_unit(rest // size, f"duration-{unit}", length, locale=_LOCALES[self.language])


def minus(amount: int | str) -> str:
    """The sign before a negative amount, the true one (U+2212); nothing before others."""
    return "\N{MINUS SIGN}" if int(amount) < 0 else ""


def iso(us: int | str) -> str:
    """Microseconds since the epoch as a machine reads them in HTML, to the millisecond."""
    at = datetime.fromtimestamp(int(us) // 1_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{int(us) // 1000 % 1000:03d}Z"


@cache
def words(language: Language) -> Words:
    """The catalogue of a language."""
    text = files("exchange.web").joinpath("locales", f"{language}.toml").read_text("utf-8")
    return Words(language, dict(_flat(tomllib.loads(text))))


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, str):
            yield f"{path}{name}", value
        else:
            yield from _flat(value, f"{path}{name}.")


def preferred(cookie: str | None, accept_language: str) -> Language:
    """The reader's language: as chosen before, else the better of ours by RFC 9110 §12.5.4, else Chinese."""
    if cookie in LANGUAGES:
        return cookie
    weights: dict[str, float] = {}
    for part in accept_language.split(","):
        tag, _, parameter = part.strip().partition(";")
        quality = parameter.strip().removeprefix("q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        language = tag.strip().lower().partition("-")[0]
        weights[language] = max(weights.get(language, 0.0), weight)
    return "en" if weights.get("en", 0.0) > weights.get("zh", 0.0) else "zh"
