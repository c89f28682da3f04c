"""Market rules as data: every figure with its source, clause, effective date and whether we saw the original."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from exchange.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Rule:
    """One figure of the law or of the venue; `verified` where its original text was read."""

    name: str
    value: int
    source: str
    clause: str
    effective: str
    verified: bool

    def cite(self) -> str:
        """How an error or a report refers to it."""
        return f"{self.source} {self.clause}".strip()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of one profile; `digest` goes into the log with the decisions made under it."""

    profile: str
    version: str
    digest: str
    rules: dict[str, Rule]

    def __getitem__(self, name: str) -> Rule:
        return self.rules[name]

    def value(self, name: str) -> int:
        """The figure of a rule, an integer in the unit that ends its name."""
        return self.rules[name].value


@cache
def load(profile: str) -> Rulebook:
    """Read a profile; Misconfigured where it is unknown or not well-formed."""
    text = files("exchange.rulebook").joinpath(f"{profile}.toml")
    if not text.is_file():
        raise Misconfigured(
            "rulebook.profile",
            f"no rulebook profile {profile!r}",
            field="EXCHANGE_PROFILE",
            rule="a profile is a TOML file of the rulebook",
            remedy="use cn-venue",
        )
    return parse(profile, text.read_bytes())


_MEMBERS = {"value": int, "source": str, "clause": str, "effective": str, "verified": bool}


def parse(profile: str, raw: bytes) -> Rulebook:
    """A profile's text as rules; Misconfigured where a rule lacks a member, has another, or names no source.

    A profile that `extends` another has its rules too, and a digest that stands for both texts.
    """
    document: dict[str, Any] = tomllib.loads(raw.decode())
    base = load(document["extends"]) if "extends" in document else None
    rules = dict(base.rules) if base else {}
    for section, members in document.get("rules", {}).items():
        for last, rule in members.items():
            name = f"{section}.{last}"
            if {key: type(value) for key, value in rule.items()} != _MEMBERS or not rule["source"]:
                raise Misconfigured(
                    "rulebook.rule",
                    f"rule {name} is not a figure with its source",
                    field=name,
                    rule="a rule has an integer value, source, clause, effective and verified",
                    remedy="add what is missing",
                )
            rules[name] = Rule(name=name, **rule)
    text = (base.digest.encode() if base else b"") + raw
    return Rulebook(profile, document["version"], hashlib.sha256(text).hexdigest(), rules)
