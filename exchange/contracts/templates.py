"""The four contracts of 2025-07-04 as data, and a contract drawn up from one: complete, or refused by the blank's name.

A contract is hashed as a Merkle tree (RFC 9162 §2.1.1) whose leaves are the canonical JSON of its head (form and values),
of each clause in both languages, and of the licence's policy, so that one clause can be shown without the others.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, cast

from exchange.contracts.policy import policy_of
from exchange.errors import Unprocessable
from ledger.entries import canonical
from ledger.merkle import leaf_hash, root

TEMPLATES: Final = ("provision", "entrusted", "fusion", "intermediation")
DEFAULT: Final = "provision"
UNLIMITED: Final = "unlimited"
TEXT_CHARACTERS: Final = 500

Filler = Literal["seller", "listing", "trade"]
Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")

_REGIONS = re.compile(r"any|[A-Z]{2}(-[A-Z0-9]{1,3})?(,[A-Z]{2}(-[A-Z0-9]{1,3})?){0,29}")
_WHOLE = re.compile(r"0|[1-9][0-9]{0,15}")
_WORDS: Final[Mapping[str, Mapping[Language, str]]] = {
    "unlimited": {"zh": "不限", "en": "unlimited"},
    "any": {"zh": "不限", "en": "any"},
    "": {"zh": "无", "en": "none"},
    # purposes, as the rulebook names them
    "public_governance": {"zh": "公共治理", "en": "public governance"},
    "public_welfare": {"zh": "公益事业", "en": "public welfare"},
    "industry": {"zh": "产业发展", "en": "development of industry"},
    "research": {"zh": "科学研究", "en": "research"},
}
_BETWEEN: Final[Mapping[Language, str]] = {"zh": "、", "en": ", "}
_OPEN: Final[Mapping[Language, str]] = {"zh": "〔成交时填写：{}〕", "en": "[at the sale: {}]"}


@dataclass(frozen=True, slots=True)
class Blank:
    """A place of a contract that somebody fills: what it is called, who fills it, and what fits."""

    name: str
    by: Filler
    kind: str
    words: Mapping[Language, str]
    default: str | None
    at_least: int
    at_most: int
    choices: Mapping[str, Mapping[Language, str]]

    def rule(self) -> str:
        """What fits, in words."""
        match self.kind:
            case "whole":
                return f"a whole number of {self.at_least} to {self.at_most}"
            case "limit":
                return "a whole number of 1 or more, or unlimited"
            case "choice":
                return f"one of {', '.join(self.choices)}"
            case "regions":
                return "ISO 3166 codes by comma, such as CN or CN-GD,HK; or any"
            case _:
                return f"1 to {TEXT_CHARACTERS} printable characters"

    def fits(self, value: str) -> bool:
        """Whether a value may stand there."""
        match self.kind:
            case "whole":
                return bool(_WHOLE.fullmatch(value)) and self.at_least <= int(value) <= self.at_most
            case "limit":
                return value == UNLIMITED or (bool(_WHOLE.fullmatch(value)) and int(value) > 0)
            case "choice":
                return value in self.choices
            case "regions":
                return bool(_REGIONS.fullmatch(value))
            case "yuan" | "moment":
                return value.isascii() and value.isdecimal()
            case "note":
                return True
            case _:
                return len(value.strip()) >= 1 and len(value) <= TEXT_CHARACTERS and value.isprintable()

    def say(self, value: str | None, language: Language) -> str:
        """The value as a clause reads it; None is left open until a sale fills it."""
        if value is None:
            return _OPEN[language].format(self.words[language])
        match self.kind:
            case "choice":
                return self.choices[value][language]
            case "yuan":
                return f"{int(value) // 100:,}.{int(value) % 100:02d}"
            case "moment":
                at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(value), hours=8)
                return f"{at:%Y-%m-%d %H:%M:%S} UTC+8"
            case "words":
                return _BETWEEN[language].join(_worded(one, language) for one in value.split(","))
            case "limit" | "regions" | "note":
                return _worded(value, language)
            case _:
                return value


def _worded(value: str, language: Language) -> str:
    return _WORDS[value][language] if value in _WORDS else value


@dataclass(frozen=True, slots=True)
class Template:
    """One of the four forms: its blanks, and its clauses in their order, each text by language."""

    name: str
    title: Mapping[Language, str]
    source: str
    verified: bool
    blanks: Mapping[str, Blank]
    clauses: tuple[tuple[str, Mapping[Language, str]], ...]
    digest: str

    def blanks_of(self, by: Filler) -> tuple[Blank, ...]:
        """The blanks that somebody fills."""
        return tuple(blank for blank in self.blanks.values() if blank.by == by)


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract with its values filled in, or standing terms whose trade's blanks are open (`policy` is None then).

    `clauses` are {number, name, zh, en} from 1 on; `digest` is the Merkle root in hexadecimal.
    """

    form: Template
    values: Mapping[str, str]
    clauses: tuple[Mapping[str, str], ...]
    policy: Mapping[str, Any] | None
    digest: str

    def document(self) -> dict[str, Any]:
        """The contract as it is served and kept: whoever has it can hash it again."""
        return {
            "template": self.form.name,
            "template_digest": self.form.digest,
            "title": dict(self.form.title),
            "values": dict(self.values),
            "clauses": [dict(clause) for clause in self.clauses],
            "policy": self.policy,
            "digest": self.digest,
        }


@cache
def template(name: str) -> Template:
    """One of the four; Unprocessable for another name."""
    if name not in TEMPLATES:
        raise Unprocessable(
            "contract.template",
            f"no contract {name[:60]!r}",
            field="contract",
            rule=f"one of {', '.join(TEMPLATES)}",
            remedy="name one of them",
        )
    common, own = _read("common"), _read(name)
    blanks = {key: _blank(key, said) for key, said in {**common["blanks"], **own.get("blanks", {})}.items()}
    texts = {**common["clauses"], **own["clauses"]}
    clauses = tuple((key, _languages(texts[key])) for key in own["order"])
    said = {
        "blanks": {
            key: [b.by, b.kind, _plain(b.words), {c: _plain(w) for c, w in b.choices.items()}]
            for key, b in blanks.items()
        },
        "clauses": [[key, _plain(text)] for key, text in clauses],
        "name": name,
    }
    return Template(
        name=name,
        title=_languages(own),
        source=own["source"],
        verified=own["verified"],
        blanks=blanks,
        clauses=clauses,
        digest=hashlib.sha256(canonical(said)).hexdigest(),
    )


def complete(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The seller's blanks of a form, each filled as it was given or by its default.

    Unprocessable, naming the blank, where one is missing or does not fit, or is none of the seller's.
    """
    form = template(name)
    own = {blank.name: blank for blank in form.blanks_of("seller")}
    for key in given:
        if key not in own:
            raise Unprocessable(
                "contract.blank",
                f"the contract {name} leaves no blank {key[:60]!r} to the seller",
                field=f"terms.{key[:60]}",
                rule=f"the seller fills {', '.join(own)}",
                remedy="leave it out, or name one of these",
            )
    filled = {}
    for key, blank in own.items():
        value = given.get(key, blank.default)
        _require(form, blank, value)
        filled[key] = cast(str, value)
    return filled


def draw_up(name: str, values: Mapping[str, str]) -> Contract:
    """The contract of these values: every blank of the form filled, and nothing else. Unprocessable, naming the blank."""
    form = template(name)
    for key, blank in form.blanks.items():
        _require(form, blank, values.get(key))
    return _rendered(form, {key: values[key] for key in form.blanks}, policy_of(values))


def standing_terms(name: str, values: Mapping[str, str]) -> Contract:
    """What a listing's seller agrees to with whoever buys: as the contract, with the trade's blanks open.

    Every contract that is drawn up from the same seller's and listing's values has these standing terms.
    """
    form = template(name)
    known = {key: blank for key, blank in form.blanks.items() if blank.by != "trade"}
    for key, blank in known.items():
        _require(form, blank, values.get(key))
    return _rendered(form, {key: values[key] for key in known}, None)


def _rendered(form: Template, values: dict[str, str], policy: Mapping[str, Any] | None) -> Contract:
    said = {
        language: {key: blank.say(values.get(key), language) for key, blank in form.blanks.items()}
        for language in LANGUAGES
    }
    clauses = tuple(
        {"name": key, "number": str(number), **{one: text[one].format_map(said[one]) for one in LANGUAGES}}
        for number, (key, text) in enumerate(form.clauses, 1)
    )
    head = {"template": form.name, "template_digest": form.digest, "values": values}
    return Contract(form, values, clauses, policy, tree(head, clauses, policy))


def tree(
    head: Mapping[str, Any], clauses: tuple[Mapping[str, str], ...], policy: Mapping[str, Any] | None
) -> str:
    """The Merkle root over head, clauses and policy, in hexadecimal."""
    leaves: list[Any] = [dict(head), *(dict(clause) for clause in clauses)]
    if policy is not None:
        leaves.append(policy)
    return root([leaf_hash(canonical(leaf)) for leaf in leaves]).hex()


def clause_hash(clause: Mapping[str, str]) -> str:
    """The leaf hash of one clause under its contract's digest, in hexadecimal."""
    return leaf_hash(canonical(dict(clause))).hex()


def _require(form: Template, blank: Blank, value: str | None) -> None:
    field = f"terms.{blank.name}"
    if value is None:
        raise Unprocessable(
            "contract.incomplete",
            f"the contract {form.name} leaves {blank.words['en']} ({blank.words['zh']}) blank",
            field=field,
            rule=f"a contract is complete: {blank.name} is {blank.rule()}",
            remedy=f"fill in {blank.name}",
        )
    if not blank.fits(value):
        raise Unprocessable(
            "contract.value",
            f"{value[:60]!r} does not fit {blank.name}",
            field=field,
            rule=blank.rule(),
            remedy="correct it",
        )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("exchange.contracts").joinpath(f"{name}.toml").read_text("utf-8"))


def _plain(words: Mapping[Language, str]) -> dict[str, str]:
    return {language: words[language] for language in LANGUAGES}


def _languages(said: Mapping[str, Any]) -> dict[Language, str]:
    return {language: said[language] for language in LANGUAGES}


def _blank(name: str, said: Mapping[str, Any]) -> Blank:
    return Blank(
        name=name,
        by=said["by"],
        kind=said["kind"],
        words=_languages(said),
        default=said.get("default"),
        at_least=said.get("at_least", 0),
        at_most=said.get("at_most", 2**53),
        choices={choice: _languages(words) for choice, words in said.get("choices", {}).items()},
    )
