"""What is done to each column, as data: parsed with named errors, written canonically, bound by a digest.

A policy is a JSON object (numbers are strings, so that it can stand in a log body):

    {"format": "data-asset-exchange-desensitization-policy@1",
     "requirements": {"k": "5", "l": "2", "suppression_limit_ppm": "40000"},
     "exempt_from_k": false,
     "columns": [
       {"name": "patient_id", "role": "direct_identifier", "technique": {"name": "pseudonymize"}},
       {"name": "name", "role": "direct_identifier", "technique": {"name": "suppress"}},
       {"name": "age", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "2",
          "hierarchy": {"kind": "interval", "origin": "0", "widths": ["5", "10", "20"], "below": null, "from": "90"}}},
       {"name": "day", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "1",
          "hierarchy": {"kind": "date", "steps": ["month", "quarter", "year"]}}},
       {"name": "postcode", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "1",
          "hierarchy": {"kind": "prefix", "keep": ["4", "2"]}}},
       {"name": "trade", "role": "quasi_identifier", "technique": {"name": "generalize", "level": "1",
          "hierarchy": {"kind": "tree", "paths": {"welder": ["technical"], "clerk": ["office"]}}}},
       {"name": "district", "role": "quasi_identifier", "technique": {"name": "recode",
          "hierarchy": {"kind": "region", "levels": ["prefecture", "province"]}}},
       {"name": "income", "role": "quasi_identifier", "technique": {"name": "recode",
          "hierarchy": {"kind": "cuts", "cuts": [["2000", "5000", "9000"], ["5000"]]}}},
       {"name": "brand", "role": "quasi_identifier", "technique": {"name": "recode",
          "hierarchy": {"kind": "frequent", "kept": [["red", "blue", "green"], ["red"]]}}},
       {"name": "phone", "role": "direct_identifier", "technique": {"name": "tokenize"}},
       {"name": "note", "role": "sensitive", "technique": {"name": "mask", "keep_first": "1", "keep_last": "0"}},
       {"name": "charge", "role": "sensitive", "technique": {"name": "round", "step": "0.5"}},
       {"name": "dose", "role": "sensitive", "technique": {"name": "noise", "distribution": "laplace", "scale": "2", "bound": "10"}},
       {"name": "stay", "role": "sensitive", "technique": {"name": "clamp", "low": null, "high": "60"}},
       {"name": "seen", "role": "sensitive", "technique": {"name": "shift_dates", "most_days": "30", "by": "patient_id"}},
       {"name": "weight", "role": "sensitive", "technique": {"name": "microaggregate", "group": "5", "statistic": "mean", "with": "body"}},
       {"name": "height", "role": "sensitive", "technique": {"name": "microaggregate", "group": "5", "statistic": "mean", "with": "body"}},
       {"name": "service", "role": "sensitive", "technique": {"name": "keep"}}]}

Level 0 of a hierarchy is the value itself and its last level is `*` for every row. A recoded column has no one
level: each row stands at the level that it needs (local recoding), found again from the table and the policy.
`requirements` may hold `privacy` and `loss` too (see `requirements`); a policy that asks for neither is spelt
without them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal, assert_never, cast, get_args

import rfc8785

from exchange.desensitization.detection.findings import ROLES, Role
from exchange.desensitization.policy.members import (
    MAX_TREE_VALUES,
    flag_of,
    items_of,
    members_of,
    number_of,
    one_of,
    paths_of,
    plain,
    positive_of,
    refused,
    whole,
)
from exchange.desensitization.policy.requirements import (
    USUAL_LOSS,
    LossModel,
    PrivacyModel,
    loss_of,
    loss_to_json,
    model_to_json,
    privacy_of,
    require_columns,
)

FORMAT = "data-asset-exchange-desensitization-policy@1"
MAX_COLUMNS = 512
MAX_CUTS = 10_000

Step = Literal["month", "quarter", "year", "decade"]
STEPS: tuple[Step, ...] = get_args(Step)
"""From fine to coarse; each nests in the next. Weeks do not nest in months and are left out."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers into half-open intervals; everything below `below` or from `from_` on is one open interval."""

    origin: Decimal
    widths: tuple[Decimal, ...]
    below: Decimal | None = None
    from_: Decimal | None = None

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.widths) + 1


@dataclass(frozen=True, slots=True)
class Dates:
    """Dates and times into months, quarters, years, decades."""

    steps: tuple[Step, ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.steps) + 1


@dataclass(frozen=True, slots=True)
class Prefix:
    """Codes cut to their first characters: postal codes, divisions (GB/T 2260: 6, 4, 2 digits)."""

    keep: tuple[int, ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.keep) + 1


@dataclass(frozen=True, slots=True)
class Tree:
    """Categories under named parents, one path a value (the rows of ARX's hierarchy files without the last `*`)."""

    paths: Mapping[str, tuple[str, ...]]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(next(iter(self.paths.values()))) + 1


@dataclass(frozen=True, slots=True)
class Cuts:
    """Numbers into half-open intervals of unequal width: each level's cuts are some of those of the level below."""

    cuts: tuple[tuple[Decimal, ...], ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.cuts) + 1


Division = Literal["county", "prefecture", "province"]
DIVISIONS: tuple[Division, ...] = get_args(Division)
"""From fine to coarse: 6, 4 and 2 digits of a code of GB/T 2260."""


@dataclass(frozen=True, slots=True)
class Region:
    """Chinese divisions, by their codes (GB/T 2260, six digits or more) or by their names."""

    levels: tuple[Division, ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.levels) + 1


@dataclass(frozen=True, slots=True)
class Frequent:
    """The named values stay, all others become one: from level to level fewer stay."""

    kept: tuple[tuple[str, ...], ...]

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return len(self.kept) + 1


@dataclass(frozen=True, slots=True)
class Whole:
    """The value or `*`, nothing between."""

    @property
    def height(self) -> int:
        """The level at which everything is `*`."""
        return 1


Hierarchy = Interval | Cuts | Dates | Prefix | Region | Tree | Frequent | Whole


@dataclass(frozen=True, slots=True)
class Keep:
    """The column crosses as it is."""


@dataclass(frozen=True, slots=True)
class Suppress:
    """The column does not cross."""


@dataclass(frozen=True, slots=True)
class Mask:
    """All but the first and last characters become `*`."""

    keep_first: int
    keep_last: int


@dataclass(frozen=True, slots=True)
class Round:
    """Numbers to the nearest multiple of `step`, half to even."""

    step: Decimal


@dataclass(frozen=True, slots=True)
class Generalize:
    """Values to their ancestors at `level` of the hierarchy."""

    hierarchy: Hierarchy
    level: int


@dataclass(frozen=True, slots=True)
class Recode:
    """Values to their ancestors at the level that each row needs: local recoding, with all columns so treated."""

    hierarchy: Hierarchy


@dataclass(frozen=True, slots=True)
class Pseudonymize:
    """Values to keyed pseudonyms under the product's own key, so that two products do not join."""


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Values to tokens that the product's own key turns back (SM4); two products do not join."""


Distribution = Literal["uniform", "laplace", "gaussian"]
DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)


@dataclass(frozen=True, slots=True)
class Noise:
    """Numbers plus chance under the product's own key, row by row, never further off than `bound`.

    `scale` is the b of Laplace's distribution or the standard deviation of Gauss's, before the bound cuts their
    tails; the uniform has none.
    """

    distribution: Distribution
    scale: Decimal | None
    bound: Decimal


Statistic = Literal["mean", "median", "mode"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


@dataclass(frozen=True, slots=True)
class Microaggregate:
    """Numbers or dates to the statistic of at least `group` rows that are alike (MDAV).

    Columns with the same name in `together` are grouped together, all others alone.
    """

    group: int
    statistic: Statistic
    together: str | None = None


@dataclass(frozen=True, slots=True)
class Clamp:
    """Top and bottom coding: numbers beyond a bound become that bound."""

    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class ShiftDates:
    """Dates moved by at most `most_days` either way, under the product's own key.

    Rows that agree in the raw column `by` move alike, so that a person's intervals stay; without it each row
    moves on its own.
    """

    most_days: int
    by: str | None = None


Technique = (
    Keep
    | Suppress
    | Mask
    | Round
    | Generalize
    | Recode
    | Pseudonymize
    | Tokenize
    | Noise
    | Microaggregate
    | Clamp
    | ShiftDates
)

KEYED = Pseudonymize | Tokenize
"""A value of its own for each raw value, which only the key relates to it."""


@dataclass(frozen=True, slots=True)
class ColumnPolicy:
    """One column of the raw table: what it is, and what is done to it."""

    name: str
    role: Role
    technique: Technique


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done to a table and what must hold afterwards.

    `k` and `l` (distinct) must hold over the quasi-identifiers of the product; rows that break them are
    dropped, at most `suppression_limit_ppm` of all. So must every model of `privacy`. `loss` is what the search
    kept least. `exempt_from_k` claims that no person is in the table.
    """

    columns: tuple[ColumnPolicy, ...]
    k: int
    l: int  # noqa: E741  # the field's own letter: l-diversity
    suppression_limit_ppm: int
    exempt_from_k: bool = False
    privacy: tuple[PrivacyModel, ...] = ()
    loss: LossModel = USUAL_LOSS

    def column(self, name: str) -> ColumnPolicy | None:
        """The column of that name, or none."""
        return next((column for column in self.columns if column.name == name), None)

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Names of the columns declared in that role, suppressed ones included."""
        return tuple(column.name for column in self.columns if column.role == role)

    @property
    def for_persons(self) -> bool:
        """Whether the department itself says that the raw table was about persons."""
        return any(column.role in ("direct_identifier", "quasi_identifier") for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """The policy as a JSON object; `parse` reads it back."""
        return {
            "format": FORMAT,
            "requirements": requirements_to_json(
                self.k, self.l, self.suppression_limit_ppm, self.privacy, self.loss
            ),
            "exempt_from_k": self.exempt_from_k,
            "columns": [
                {"name": column.name, "role": column.role, "technique": technique_to_json(column.technique)}
                for column in self.columns
            ],
        }

    def canonical(self) -> bytes:
        """RFC 8785 bytes: one policy, one spelling, whatever file it came from."""
        return rfc8785.dumps(self.to_json())

    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal: what an authorization is bound to."""
        return hashlib.sha256(self.canonical()).hexdigest()


def requirements_to_json(
    k: int,
    l: int,  # noqa: E741
    suppression_limit_ppm: int,
    privacy: tuple[PrivacyModel, ...],
    loss: LossModel,
) -> dict[str, Any]:
    """What a policy asks for as a JSON object; privacy models and loss only where they are not the usual ones."""
    asked: dict[str, Any] = {"k": str(k), "l": str(l), "suppression_limit_ppm": str(suppression_limit_ppm)}
    if privacy:
        asked["privacy"] = [model_to_json(model) for model in privacy]
    if loss != USUAL_LOSS:
        asked["loss"] = loss_to_json(loss)
    return asked


def technique_to_json(technique: Technique) -> dict[str, Any]:
    """One technique as a JSON object."""
    match technique:
        case Keep():
            return {"name": "keep"}
        case Suppress():
            return {"name": "suppress"}
        case Mask(keep_first, keep_last):
            return {"name": "mask", "keep_first": str(keep_first), "keep_last": str(keep_last)}
        case Round(step):
            return {"name": "round", "step": plain(step)}
        case Pseudonymize():
            return {"name": "pseudonymize"}
        case Tokenize():
            return {"name": "tokenize"}
        case Generalize(hierarchy, level):
            return {"name": "generalize", "hierarchy": hierarchy_to_json(hierarchy), "level": str(level)}
        case Recode(hierarchy):
            return {"name": "recode", "hierarchy": hierarchy_to_json(hierarchy)}
        case Noise(distribution, scale, bound):
            return {
                "name": "noise",
                "distribution": distribution,
                "scale": None if scale is None else plain(scale),
                "bound": plain(bound),
            }
        case Microaggregate(group, statistic, together):
            return {
                "name": "microaggregate",
                "group": str(group),
                "statistic": statistic,
                "with": together,
            }
        case Clamp(low, high):
            return {
                "name": "clamp",
                "low": None if low is None else plain(low),
                "high": None if high is None else plain(high),
            }
        case ShiftDates(most_days, by):
            return {"name": "shift_dates", "most_days": str(most_days), "by": by}
        case _:
            assert_never(technique)


def hierarchy_to_json(hierarchy: Hierarchy) -> dict[str, Any]:
    """One hierarchy as a JSON object."""
    match hierarchy:
        case Interval(origin, widths, below, from_):
            return {
                "kind": "interval",
                "origin": plain(origin),
                "widths": [plain(width) for width in widths],
                "below": None if below is None else plain(below),
                "from": None if from_ is None else plain(from_),
            }
        case Dates(steps):
            return {"kind": "date", "steps": list(steps)}
        case Prefix(keep):
            return {"kind": "prefix", "keep": [str(length) for length in keep]}
        case Tree(paths):
            return {"kind": "tree", "paths": {value: list(path) for value, path in paths.items()}}
        case Cuts(cuts):
            return {"kind": "cuts", "cuts": [[plain(cut) for cut in level] for level in cuts]}
        case Region(levels):
            return {"kind": "region", "levels": list(levels)}
        case Frequent(kept):
            return {"kind": "frequent", "kept": [list(level) for level in kept]}
        case Whole():
            return {"kind": "whole"}
        case _:
            assert_never(hierarchy)


def parse(data: object) -> Policy:
    """The policy that a JSON object states. Raises PolicyRefused, naming the field, the rule and the remedy."""
    top = members_of(data, "policy", {"format", "requirements", "exempt_from_k", "columns"})
    if top["format"] != FORMAT:
        raise refused(
            "format", f"{top['format']!r} is not {FORMAT!r}", "write the format that this engine reads"
        )
    requirements = members_of(
        top["requirements"], "requirements", {"k", "l", "suppression_limit_ppm"}, {"privacy", "loss"}
    )
    columns = items_of(top["columns"], "columns")
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise refused(
            "columns", f"1 to {MAX_COLUMNS} columns, found {len(columns)}", "name every column once"
        )
    policy = Policy(
        columns=tuple(_column(item, f"columns[{place}]") for place, item in enumerate(columns)),
        k=whole(requirements["k"], "requirements.k", 1, 1_000_000),
        l=whole(requirements["l"], "requirements.l", 1, 1_000_000),
        suppression_limit_ppm=whole(
            requirements["suppression_limit_ppm"], "requirements.suppression_limit_ppm", 0, 1_000_000
        ),
        exempt_from_k=flag_of(top["exempt_from_k"], "exempt_from_k"),
        privacy=privacy_of(requirements.get("privacy", ()), "requirements.privacy"),
        loss=loss_of(requirements["loss"], "requirements.loss") if "loss" in requirements else USUAL_LOSS,
    )
    check(policy)
    return policy


def check(policy: Policy) -> None:
    """What no policy may say, whoever authorizes it. Raises PolicyRefused."""
    seen: set[str] = set()
    for place, column in enumerate(policy.columns):
        field = f"columns[{place}]"
        if column.name in seen:
            raise refused(f"{field}.name", f"{column.name!r} stands twice", "name every column once")
        seen.add(column.name)
        if column.role == "direct_identifier" and _crosses_as_it_is(column.technique):
            raise refused(
                f"{field}.technique",
                f"the direct identifier {column.name!r} may not cross as it is (GB/T 37964-2019)",
                "suppress it, or pseudonymize it",
            )
    _check_together(policy)
    if all(isinstance(column.technique, Suppress) for column in policy.columns):
        raise refused("columns", "nothing is left of the table", "keep at least one column")
    if policy.exempt_from_k and policy.for_persons:
        raise refused(
            "exempt_from_k",
            "only a table without persons is exempt from k, and this policy names identifiers of persons",
            "set exempt_from_k to false, or the roles of the columns to other",
        )
    if policy.exempt_from_k and policy.privacy:
        raise refused(
            "requirements.privacy",
            "a table that is exempt from k has no classes that could hold a privacy model",
            "remove the models, or declare the quasi-identifiers",
        )
    crossing = {
        column.name: column.role for column in policy.columns if not isinstance(column.technique, Suppress)
    }
    require_columns(
        policy.privacy,
        policy.loss,
        lambda name: crossing.get(name) == "sensitive",
        lambda name: policy.column(name) is not None,
    )


def _crosses_as_it_is(technique: Technique) -> bool:
    """Whether a value may come through untouched, or so little changed that it still names somebody."""
    if isinstance(technique, Generalize):
        return technique.level == 0
    return isinstance(technique, Keep | Round | Recode | Noise | Microaggregate | Clamp | ShiftDates)


def _check_together(policy: Policy) -> None:
    """What techniques ask of other columns, and of the role of their own."""
    groups: dict[str, Microaggregate] = {}
    for place, column in enumerate(policy.columns):
        field = f"columns[{place}].technique"
        technique = column.technique
        match technique:
            case Noise() | ShiftDates() if column.role == "quasi_identifier":
                raise refused(
                    field,
                    f"k would be measured on the chance in {column.name!r}",
                    "generalize or recode a quasi-identifier, or declare the column as sensitive",
                )
            case Recode() if column.role != "quasi_identifier":
                raise refused(
                    field,
                    f"{column.name!r} is no quasi-identifier, and only those need their rows to be alike",
                    "generalize the column, or declare it as a quasi-identifier",
                )
            case ShiftDates(_, by) if by is not None and policy.column(by) is None:
                raise refused(f"{field}.by", f"there is no column {by!r}", "name a column of the table")
            case Microaggregate(_, _, together) if together is not None:
                first = groups.setdefault(together, technique)
                if first != technique:
                    raise refused(
                        field,
                        f"columns grouped together as {together!r} have one group size and one statistic",
                        "write the same group and statistic in all of them",
                    )
            case _:
                pass


def hierarchy_from_json(data: object, field: str) -> Hierarchy:
    """One hierarchy. Raises PolicyRefused."""
    if not isinstance(data, Mapping) or "kind" not in data:
        raise refused(
            field, "a hierarchy is an object with a kind", 'write {"kind": "whole"} or another kind'
        )
    match data["kind"]:
        case "interval":
            return _interval(data, field)
        case "date":
            members = members_of(data, field, {"kind", "steps"})
            steps = tuple(items_of(members["steps"], f"{field}.steps"))
            places = [STEPS.index(step) if step in STEPS else -1 for step in steps]
            if not steps or -1 in places or places != sorted(set(places)):
                raise refused(
                    f"{field}.steps",
                    f"steps rise among {', '.join(STEPS)}",
                    'write ["month", "quarter", "year"]',
                )
            return Dates(cast(tuple[Step, ...], steps))
        case "prefix":
            members = members_of(data, field, {"kind", "keep"})
            keep = tuple(
                whole(length, f"{field}.keep", 1, 1_000)
                for length in items_of(members["keep"], f"{field}.keep")
            )
            if not keep or list(keep) != sorted(set(keep), reverse=True):
                raise refused(f"{field}.keep", "lengths fall from level to level", 'write ["4", "2"]')
            return Prefix(keep)
        case "tree":
            return _tree(data, field)
        case "cuts":
            return _cuts(data, field)
        case "region":
            members = members_of(data, field, {"kind"}, {"levels"})
            levels = tuple(items_of(members.get("levels", ["prefecture", "province"]), f"{field}.levels"))
            places = [DIVISIONS.index(level) if level in DIVISIONS else -1 for level in levels]
            if not levels or -1 in places or places != sorted(set(places)):
                raise refused(
                    f"{field}.levels",
                    f"levels rise among {', '.join(DIVISIONS)}",
                    'write ["prefecture", "province"]',
                )
            return Region(cast(tuple[Division, ...], levels))
        case "frequent":
            return _frequent(data, field)
        case "whole":
            members_of(data, field, {"kind"})
            return Whole()
        case other:
            raise refused(
                f"{field}.kind",
                f"{other!r} is no kind of hierarchy",
                "use interval, cuts, date, prefix, region, tree, frequent or whole",
            )


def technique_from_json(data: object, field: str) -> Technique:
    """One technique. Raises PolicyRefused."""
    if not isinstance(data, Mapping) or "name" not in data:
        raise refused(
            field, "a technique is an object with a name", 'write {"name": "keep"} or another technique'
        )
    match data["name"]:
        case "keep":
            members_of(data, field, {"name"})
            return Keep()
        case "suppress":
            members_of(data, field, {"name"})
            return Suppress()
        case "pseudonymize":
            members_of(data, field, {"name"})
            return Pseudonymize()
        case "mask":
            members = members_of(data, field, {"name", "keep_first", "keep_last"})
            return Mask(
                whole(members["keep_first"], f"{field}.keep_first", 0, 1_000),
                whole(members["keep_last"], f"{field}.keep_last", 0, 1_000),
            )
        case "round":
            members = members_of(data, field, {"name", "step"})
            return Round(positive_of(members["step"], f"{field}.step"))
        case "generalize":
            members = members_of(data, field, {"name", "hierarchy", "level"})
            hierarchy = hierarchy_from_json(members["hierarchy"], f"{field}.hierarchy")
            return Generalize(hierarchy, whole(members["level"], f"{field}.level", 0, hierarchy.height))
        case "recode":
            members = members_of(data, field, {"name", "hierarchy"})
            return Recode(hierarchy_from_json(members["hierarchy"], f"{field}.hierarchy"))
        case "tokenize":
            members_of(data, field, {"name"})
            return Tokenize()
        case "noise":
            return _noise(data, field)
        case "microaggregate":
            members = members_of(data, field, {"name", "group"}, {"statistic", "with"})
            return Microaggregate(
                whole(members["group"], f"{field}.group", 2, 10_000),
                one_of(members.get("statistic", "mean"), f"{field}.statistic", STATISTICS),
                _named_or_none(members.get("with"), f"{field}.with"),
            )
        case "clamp":
            return _clamp(data, field)
        case "shift_dates":
            members = members_of(data, field, {"name", "most_days"}, {"by"})
            return ShiftDates(
                whole(members["most_days"], f"{field}.most_days", 1, 36_500),
                _named_or_none(members.get("by"), f"{field}.by"),
            )
        case other:
            raise refused(
                f"{field}.name",
                f"{other!r} is no technique",
                "use keep, suppress, mask, round, generalize, recode, pseudonymize, tokenize, noise, "
                "microaggregate, clamp or shift_dates",
            )


def role_from_json(data: object, field: str) -> Role:
    """One role. Raises PolicyRefused."""
    if data not in ROLES:
        raise refused(field, f"{data!r} is no role", f"use one of {', '.join(ROLES)}")
    return data


def _column(data: object, field: str) -> ColumnPolicy:
    members = members_of(data, field, {"name", "role", "technique"})
    name = members["name"]
    if not isinstance(name, str) or not name or name != unicodedata.normalize("NFC", name):
        raise refused(
            f"{field}.name", "a column's name is a non-empty NFC string", "copy it from the table's header"
        )
    return ColumnPolicy(
        name,
        role_from_json(members["role"], f"{field}.role"),
        technique_from_json(members["technique"], f"{field}.technique"),
    )


def _interval(data: Mapping[str, object], field: str) -> Interval:
    members = members_of(data, field, {"kind", "origin", "widths"}, {"below", "from"})
    widths = tuple(
        positive_of(width, f"{field}.widths[{place}]")
        for place, width in enumerate(items_of(members["widths"], f"{field}.widths"))
    )
    if not widths:
        raise refused(f"{field}.widths", "at least one width", 'write ["5", "10"]')
    for finer, coarser in pairwise(widths):
        if coarser <= finer or coarser % finer != 0:
            raise refused(
                f"{field}.widths",
                f"each width is a multiple of the one before, and {plain(coarser)} is none of {plain(finer)}",
                "make the intervals nest, for example 5, 10, 20",
            )
    origin = number_of(members["origin"], f"{field}.origin")
    tails: list[Decimal | None] = []
    for name in ("below", "from"):
        tail = None if members.get(name) is None else number_of(members[name], f"{field}.{name}")
        if tail is not None and (tail - origin) % widths[-1] != 0:
            raise refused(
                f"{field}.{name}",
                "an open interval begins where an interval of the widest kind does",
                f"use the origin plus a multiple of {plain(widths[-1])}",
            )
        tails.append(tail)
    below, from_ = tails
    if below is not None and from_ is not None and below >= from_:
        raise refused(
            f"{field}.below", "the lower open interval ends before the upper one begins", "lower it"
        )
    return Interval(origin, widths, below, from_)


def _cuts(data: Mapping[str, object], field: str) -> Cuts:
    members = members_of(data, field, {"kind", "cuts"})
    levels: list[tuple[Decimal, ...]] = []
    for place, level in enumerate(items_of(members["cuts"], f"{field}.cuts")):
        where = f"{field}.cuts[{place}]"
        cuts = tuple(number_of(cut, where) for cut in items_of(level, where))
        if not 1 <= len(cuts) <= MAX_CUTS or any(low >= high for low, high in pairwise(cuts)):
            raise refused(where, f"1 to {MAX_CUTS} rising numbers", 'write ["18", "65"]')
        if levels and (len(cuts) == len(levels[-1]) or not set(cuts) < set(levels[-1])):
            raise refused(where, "some of the cuts of the level below and no other", "make the levels nest")
        levels.append(cuts)
    if not levels:
        raise refused(f"{field}.cuts", "at least one level", 'write [["18", "40", "65"], ["40"]]')
    return Cuts(tuple(levels))


def _frequent(data: Mapping[str, object], field: str) -> Frequent:
    members = members_of(data, field, {"kind", "kept"})
    levels: list[tuple[str, ...]] = []
    for place, level in enumerate(items_of(members["kept"], f"{field}.kept")):
        where = f"{field}.kept[{place}]"
        kept = tuple(items_of(level, where))
        if any(not isinstance(value, str) for value in kept) or len(set(kept)) != len(kept):
            raise refused(where, "different values, each as a string", 'write ["red", "blue"]')
        if not 1 <= len(kept) <= MAX_TREE_VALUES:
            raise refused(where, f"1 to {MAX_TREE_VALUES} values", "name the values that stay")
        if levels and not set(kept) < set(levels[-1]):
            raise refused(where, "some of the values of the level below and no other", "make the levels nest")
        levels.append(kept)
    if not levels:
        raise refused(f"{field}.kept", "at least one level", 'write [["red", "blue"], ["red"]]')
    return Frequent(tuple(levels))


def _noise(data: Mapping[str, object], field: str) -> Noise:
    members = members_of(data, field, {"name", "distribution", "bound"}, {"scale"})
    distribution = one_of(members["distribution"], f"{field}.distribution", DISTRIBUTIONS)
    bound = positive_of(members["bound"], f"{field}.bound")
    scale = None if members.get("scale") is None else positive_of(members["scale"], f"{field}.scale")
    if (scale is None) != (distribution == "uniform"):
        raise refused(
            f"{field}.scale",
            "laplace and gaussian have a scale, uniform has none",
            "give a scale, or leave it out",
        )
    if scale is not None and bound < scale:
        raise refused(f"{field}.bound", "not below the scale", f"write {plain(scale * 5)} or so")
    return Noise(distribution, scale, bound)


def _clamp(data: Mapping[str, object], field: str) -> Clamp:
    members = members_of(data, field, {"name"}, {"low", "high"})
    low, high = (
        None if members.get(name) is None else number_of(members[name], f"{field}.{name}")
        for name in ("low", "high")
    )
    if low is None and high is None:
        raise refused(f"{field}.high", "a bound above, below or both", 'write "high": "90"')
    if low is not None and high is not None and low >= high:
        raise refused(f"{field}.low", "below the upper bound", "lower it")
    return Clamp(low, high)


def _named_or_none(data: object, field: str) -> str | None:
    if data is not None and (not isinstance(data, str) or not data):
        raise refused(field, "a non-empty string", "name it, or leave it out")
    return data


def _tree(data: Mapping[str, object], field: str) -> Tree:
    members = members_of(data, field, {"kind", "paths"})
    return Tree(paths_of(members["paths"], f"{field}.paths"))
