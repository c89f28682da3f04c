"""Market rules as data: every figure, period, share and ban with its source, clause, effective date, and whether we saw the
original; profiles, presets and the version that one change makes of another. Pure, but for the files that ship with it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from exchange.acts import plain
from exchange.errors import Misconfigured
from exchange.rulebook import days
from exchange.rulebook.days import Calendar
from ledger.entries import canonical

Value = int | bool | str | tuple[str, ...]

OWN = "the venue's own rule"
"""The source of what no law says: the venue's governing body signs its changes."""

PRESETS = ("top-level", "cooperation", "data-driven")
"""The three models of digital government (廖福崇, 2022), as figures that a market can be opened with."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One figure, list or permission of the law or of the venue; `verified` where its original text was read.

    The unit of a figure ends its name. A ban is a permission that is false.
    """

    name: str
    value: Value
    source: str
    clause: str
    effective: str
    verified: bool

    @property
    def own(self) -> bool:
        """Whether it is the venue's, and no law's."""
        return self.source == OWN

    def cite(self) -> str:
        """How an error or a report refers to it."""
        return f"{self.source} {self.clause}".strip()

    def to_json(self) -> dict[str, Any]:
        """As a log entry states it: figures are decimal strings."""
        return {
            "clause": self.clause,
            "effective": self.effective,
            "source": self.source,
            "value": plain(self.value),
            "verified": self.verified,
        }

    @classmethod
    def from_json(cls, name: str, said: Mapping[str, Any]) -> Rule:
        """The rule of an entry; Misconfigured where it is none."""
        value = said.get("value")
        if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,18}", value):
            value = int(value)
        return checked(name, {**said, "value": value})


_MEMBERS = {"source": str, "clause": str, "effective": str, "verified": bool}


def checked(name: str, members: Mapping[str, Any]) -> Rule:
    """A rule of plain members; Misconfigured where it lacks one, has another, or names no source."""
    said = dict(members)
    value = said.pop("value", None)
    if isinstance(value, list):
        value = tuple(value)
    try:
        of_value = (
            (type(value) is int and 0 <= value < 2**63)
            or type(value) is bool
            or (type(value) is str and re.fullmatch("[a-z][a-z0-9_-]*", value) is not None)
            or (
                type(value) is tuple
                and bool(value)
                and all(re.fullmatch("[a-z0-9][a-z0-9_-]*", each) for each in value)
            )
        )
        date.fromisoformat(said.get("effective", ""))
    except (TypeError, ValueError):
        of_value = False
    formed = re.fullmatch("[a-z_]+[.][a-z_]+", name) is not None
    if not formed or not of_value or {k: type(v) for k, v in said.items()} != _MEMBERS or not said["source"]:
        raise Misconfigured(
            "rulebook.rule",
            f"rule {name} is not a figure with its source",
            field=name,
            rule="a rule has a value (a whole number from 0, true, false, a word or a list of words), source, clause, "
            "effective (YYYY-MM-DD) and verified",
            remedy="add what is missing",
        )
    return Rule(name=name, value=value, **said)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of a market in one version; `digest` goes into the log with every decision that was made under them."""

    profile: str
    version: str
    rules: Mapping[str, Rule]
    calendar: Calendar
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(canonical(self.document())).hexdigest())

    def __getitem__(self, name: str) -> Rule:
        return self.rules[name]

    def value(self, name: str) -> int:
        """A figure, an integer in the unit that ends its name."""
        value = self.rules[name].value
        assert type(value) is int, name
        return value

    def allows(self, name: str) -> bool:
        """A permission, or whether something is required."""
        value = self.rules[name].value
        assert type(value) is bool, name
        return value

    def word(self, name: str) -> str:
        """A rule that is one word."""
        value = self.rules[name].value
        assert type(value) is str, name
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A rule that lists words."""
        value = self.rules[name].value
        assert type(value) is tuple, name
        return value

    def behind(self, name: str) -> tuple[Rule, ...]:
        """The rules on which a gate of the code stands, by the code of its refusal (`gates.toml`); of a rule, that rule."""
        return tuple(self.rules[each] for each in GATES.get(name, (name,)))

    def cite(self, gate: str) -> str:
        """The clauses on which a gate of the code stands."""
        return "; ".join(dict.fromkeys(rule.cite() for rule in self.behind(gate)))

    def reference(self) -> dict[str, str]:
        """How an entry names this version."""
        return {"digest": self.digest, "version": self.version}

    def stated(self) -> dict[str, Any]:
        """As an entry states it whole."""
        return {**self.reference(), "document": self.document()}

    def document(self) -> dict[str, Any]:
        """The whole of it as plain JSON, whose canonical form (RFC 8785) hashes to `digest`."""
        return {
            "calendar": self.calendar.to_json(),
            "profile": self.profile,
            "rules": {name: rule.to_json() for name, rule in self.rules.items()},
            "version": self.version,
        }

    @classmethod
    def from_document(cls, said: Mapping[str, Any]) -> Rulebook:
        """The rulebook that a document states; Misconfigured names the rule that is none."""
        rules = {name: Rule.from_json(name, rule) for name, rule in said["rules"].items()}
        return cls(said["profile"], said["version"], rules, Calendar.from_json(said["calendar"]))

    def changed(self, rules: Sequence[Rule], calendar: Calendar | None = None) -> Rulebook:
        """The next version, in which these rules stand in the place of theirs.

        Misconfigured where a rule is not known or would be of another kind, where nothing changes, and where the result
        contradicts itself: a rate above the most that is allowed, say.
        """
        for rule in rules:
            old = self.rules.get(rule.name)
            if old is None or type(old.value) is not type(rule.value):
                raise Misconfigured(
                    "rulebook.change",
                    f"{rule.name} is no rule of this kind",
                    field=rule.name,
                    rule="a change gives a rule that is there another value of its kind, or another source",
                    remedy="`exchange rulebook show` lists the rules",
                )
        merged = {**self.rules, **{rule.name: rule for rule in rules}}
        name, _, number = self.version.rpartition("@")
        result = Rulebook(self.profile, f"{name}@{int(number) + 1}", merged, calendar or self.calendar)
        if merged == dict(self.rules) and result.calendar == self.calendar:
            raise Misconfigured(
                "rulebook.change",
                "nothing would change",
                field="changes",
                rule="a change changes something",
                remedy="compare with `exchange rulebook diff`",
            )
        require_consistent(result)
        return result


_BOUNDS = (
    ("fees.buyer_commission_ppm", "fees.commission_at_most_ppm"),
    ("fees.seller_commission_ppm", "fees.commission_at_most_ppm"),
    ("fees.commission_at_most_ppm", 999_999),
    ("fees.value_added_tax_ppm", 999_999),
    ("auction.deposit_at_least_ppm", "auction.deposit_at_most_ppm"),
    ("auction.start_of_appraisal_at_least_ppm", 1_000_000),
    ("auction.deposit_at_most_ppm", 1_000_000),
    ("model.operator_state_share_at_least_ppm", 1_000_000),
    ("model.approvals_at_least", 3),
    ("related.share_at_least_ppm", 1_000_000),
    ("related.control_at_least_ppm", 1_000_000),
)
"""What may not pass what."""

_AT_LEAST_ONE = (
    "model.approvals_at_least",
    "related.share_at_least_ppm",
    "related.steps_at_most",
    "registration.certificate_at_most_months",
    "release.k_at_least",
)


def require_consistent(rules: Rulebook) -> None:
    """Misconfigured where a figure passes the most that another allows, or a gate has no clause."""
    for low, high in _BOUNDS:
        most = rules.value(high) if isinstance(high, str) else high
        if rules.value(low) > most:
            raise Misconfigured(
                "rulebook.bounds",
                f"{low} is {rules.value(low)}, above {most}",
                field=low,
                rule=f"at most {high}",
                remedy="lower it",
            )
    for name in _AT_LEAST_ONE:
        if not rules.value(name):
            raise Misconfigured(
                "rulebook.bounds", f"{name} is 0", field=name, rule="at least 1", remedy="raise it"
            )
    if rules.word("model.opening_default") not in ("open", "conditional", "closed"):
        raise Misconfigured(
            "rulebook.bounds",
            rules.word("model.opening_default"),
            field="model.opening_default",
            rule="open, conditional or closed",
            remedy="name one of them",
        )
    levels = rules.words("release.approved_by")
    if len(levels) < rules.value("model.approvals_at_least") or not set(levels) <= {
        "department",
        "governing_body",
    }:
        raise Misconfigured(
            "rulebook.bounds",
            f"{len(levels)} levels: {', '.join(levels)}",
            field="release.approved_by",
            rule="department or governing_body for each of model.approvals_at_least levels",
            remedy="name who approves at each level",
        )
    for gate, clauses in GATES.items():
        for name in clauses:
            if name not in rules.rules:
                raise Misconfigured(
                    "rulebook.gate",
                    f"the gate {gate} stands on {name}, which is no rule of {rules.version}",
                    field=name,
                    rule="a gate in the code has a clause in the rulebook",
                    remedy=f"add {name} with its source",
                )


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule that two versions state otherwise; None where one of them does not have it."""

    name: str
    old: Rule | None
    new: Rule | None


def differences(old: Rulebook, new: Rulebook) -> tuple[Difference, ...]:
    """What one version states otherwise than another, by name."""
    names = sorted(old.rules.keys() | new.rules.keys())
    return tuple(
        Difference(name, old.rules.get(name), new.rules.get(name))
        for name in names
        if old.rules.get(name) != new.rules.get(name)
    )


def _file(name: str) -> bytes | None:
    found = files("exchange.rulebook").joinpath(name)
    return found.read_bytes() if found.is_file() else None


def _gates() -> Mapping[str, tuple[str, ...]]:
    raw = _file("gates.toml")
    assert raw is not None  # it ships with the code
    return {code: tuple(clauses) for code, clauses in tomllib.loads(raw.decode())["gates"].items()}


GATES = _gates()
"""The rules on which each gate of the code stands, by the code of its refusal."""


@cache
def load(profile: str, preset: str | None = None) -> Rulebook:
    """A profile as it ships, under one of the presets where one is named; Misconfigured where either is unknown."""
    raw = _file(f"{profile}.toml") if re.fullmatch("cn-venue|generic", profile) else None
    if raw is None:
        raise Misconfigured(
            "rulebook.profile",
            f"no rulebook profile {profile!r}",
            field="EXCHANGE_PROFILE",
            rule="a profile is a TOML file of the rulebook",
            remedy="use cn-venue or generic",
        )
    found = parse(profile, raw)
    if preset is None:
        return found
    if preset not in PRESETS:
        raise Misconfigured(
            "rulebook.preset",
            f"no preset {preset!r}",
            field="preset",
            rule=f"one of {', '.join(PRESETS)}",
            remedy="choose one of them, or none",
        )
    text = _file("presets.toml")
    assert text is not None
    rules = _rules(tomllib.loads(text.decode())[preset])
    name, _, number = found.version.partition("@")
    version = f"{name}-{preset}@{number}"
    return replace(found, version=version, rules={**found.rules, **rules})


def parse(profile: str, raw: bytes) -> Rulebook:
    """A profile's text as rules; Misconfigured where a rule lacks a member, has another, or names no source."""
    document: dict[str, Any] = tomllib.loads(raw.decode())
    calendar = document.get("calendar", "weekdays")
    text = _file(f"calendar.{calendar}.toml") if re.fullmatch("[a-z]+", calendar) else None
    if text is None:
        raise Misconfigured(
            "rulebook.calendar",
            f"no calendar {calendar!r}",
            field="calendar",
            rule="a calendar is a TOML file of the rulebook",
            remedy="use cn or weekdays",
        )
    return Rulebook(
        profile,
        document["version"],
        _rules(document.get("rules", {})),
        days.read(tomllib.loads(text.decode())),
    )


def _rules(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Rule]:
    named = (
        (f"{section}.{last}", rule) for section, members in sections.items() for last, rule in members.items()
    )
    return {name: checked(name, rule) for name, rule in named}
